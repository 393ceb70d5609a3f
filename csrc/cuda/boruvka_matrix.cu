// Boruvka in distance matrices that a block holds the forest of, of which only the half above the
// diagonal is read.
//
// A warp has 32 vertices and a part of the others. An edge to a smaller vertex lies in the column
// of the 32, where a lane reads for itself; an edge to a larger one in their rows, which the lanes
// read together. Either way neighbouring lanes read neighbouring entries.
#include "finish.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

// The nearest vertex of another component, of the lane's vertex, among [begin, end). `component`
// holds the bag's own entries.
template <class In>
__device__ Choice<Key<In>, int> nearest_in_matrix(const In* matrix, std::int64_t n, int size,
                                                  const int* component, int group, int begin,
                                                  int end) {
  using Chosen = Choice<Key<In>, int>;
  constexpr int ahead = 8;  // loads under way at once
  const int lane = threadIdx.x % warp_size, base = group * warp_size, mine = base + lane;
  const int own = mine < size ? component[mine] : nobody;
  Chosen best = Chosen::none();
  for (int row = begin; row < end && row < base + warp_size; row += ahead) {
    In weight[ahead];
#pragma unroll
    for (int l = 0; l < ahead; ++l) {
      const bool edge = row + l < end && row + l < mine && mine < size;
      weight[l] = edge ? matrix[(row + l) * n + mine] : In(0);
    }
#pragma unroll
    for (int l = 0; l < ahead; ++l) {
      if (row + l >= end || row + l >= mine || mine >= size || component[row + l] == own) continue;
      const Chosen found = {order_key(weight[l]), row + l};
      if (found < best) best = found;
    }
  }
  for (int l = 0; l < warp_size && base + l < size; ++l) {
    const int vertex = base + l, root = component[vertex];
    const int start = begin > vertex + 1 ? begin : vertex + 1;
    const In* row = matrix + vertex * n;
    Chosen least = Chosen::none();
    for (int first = start + lane; first - lane < end; first += ahead * warp_size) {
      In weight[ahead];
      int owner[ahead];
#pragma unroll
      for (int l = 0; l < ahead; ++l) {
        const int column = first + l * warp_size;
        weight[l] = column < end ? row[column] : In(0);
        owner[l] = column < end ? component[column] : root;
      }
#pragma unroll
      for (int l = 0; l < ahead; ++l) {  // columns ascend, so a strict comparison suffices
        const Key<In> key = order_key(weight[l]);
        const bool better = (owner[l] != root) & (key < least.key);
        least.key = better ? key : least.key;
        least.code = better ? first + l * warp_size : least.code;
      }
    }
    least = warp_min(least);
    if (lane == l && least < best) best = least;
  }
  return best;
}

// A whole bag by one block, its forest in shared memory: one launch for the batch.
template <class In>
__global__ void __launch_bounds__(1024)
    boruvka_of_matrices(Bags bags, Space<In> space, int places, Forest<In> forest,
                        std::int64_t* edges, In* weights) {
  const Bag bag = bag_at(bags, blockIdx.x);
  const int n = bag.size;
  const In* matrix = values_of(space, bag);
  const BlockTree<In> tree(shared_memory(), places);
  Arena arena(tree.scratch);
  int* count = arena.take<int>(1);
  forest.take(arena);
  for (int v = threadIdx.x; v < n; v += blockDim.x) stand_alone(forest, v);
  tree.clear(n);
  if (threadIdx.x == 0) *count = 0;
  __syncthreads();

  const int warp = threadIdx.x / warp_size, groups = int(ceil_div(space.d, warp_size));
  const int part = warp / groups, group = warp % groups;
  bool done = n < 2;
  for (int round = 0; !done && round < most_rounds; ++round) {
    if (part < forest.splits && group * warp_size < n) {
      const int begin = n * part / forest.splits, end = n * (part + 1) / forest.splits;
      const Choice<Key<In>, int> best =
          nearest_in_matrix(matrix, space.d, n, forest.component, group, begin, end);
      const int mine = group * warp_size + threadIdx.x % warp_size;
      if (mine < n) {
        forest.nearest_key[part * forest.rows + mine] = best.key;
        forest.nearest[part * forest.rows + mine] = best.key == absent<In> ? nobody : best.code;
      }
    }
    __syncthreads();
    for (int v = threadIdx.x; v < n; v += blockDim.x) join_parts(forest, v);
    __syncthreads();
    done = merge(forest, 0, n);
  }
  for (int v = threadIdx.x; v < n; v += blockDim.x) {
    if (forest.taken[v] == no_edge) continue;
    const int i = Ends<Long>::smaller(forest.taken[v]), j = Ends<Long>::larger(forest.taken[v]);
    const int k = atomicAdd(count, 1);
    if (k >= n - 1) continue;  // a cycle: the matrix changed under our hands
    tree.codes[k] = Ends<Short>::code(Short(i), Short(j));
    tree.keys[k] = 0;
  }
  finish<In, In>(space, bag, tree, false, edges, weights);
}

}  // namespace

template <class In>
void boruvka_in_block(const Space<In>& space, const Bags& bags, std::int64_t* edges, In* weights,
                      Stream stream) {
  const int groups = int(ceil_div(bags.n, warp_size));
  Forest<In> forest = {};
  forest.rows = int(bags.n);
  forest.splits = most_warps / groups;
  const std::int64_t places = BlockTree<In>::places(bags.n);
  Arena arena;
  arena.take<int>(1);
  forest.take(arena);
  const std::size_t shared = BlockTree<In>::edge_bytes(places) + arena.used();
  launch(boruvka_of_matrices<In>, bags.count, groups * forest.splits * warp_size, shared, stream,
         bags, space, int(places), forest, edges, weights);
}

template void boruvka_in_block(const Space<float>&, const Bags&, std::int64_t*, float*, Stream);
template void boruvka_in_block(const Space<double>&, const Bags&, std::int64_t*, double*, Stream);

}  // namespace torchtopo::cuda
