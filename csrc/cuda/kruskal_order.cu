// From a Boruvka forest to sorted trees: measure the edges, sort them, write the rows.
//
// Bags that a block can hold are finished by one block each. Larger ones are sorted by merging runs
// of 1, 2, 4, ... edges (sort.cuh).
#include "finish.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

template <class In, class Quick>
__global__ void __launch_bounds__(1024)
    finish_in_block(Bags bags, Space<In> space, Forest<Quick> forest, int places,
                    std::int64_t* edges, In* weights) {
  const int b = blockIdx.x;
  Bag bag = bag_at(bags, b);
  bag.size = forest.size[b];
  if (bags.cu_seqlens && bag.size == 0) return;
  const BlockTree<In> tree(shared_memory(), places);
  int* count = reinterpret_cast<int*>(tree.scratch);
  tree.clear(bag.size);
  if (threadIdx.x == 0) *count = 0;
  __syncthreads();
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x) {
    const Long code = forest.taken[bag.first + v];
    if (code == no_edge) continue;
    const int k = atomicAdd(count, 1), first = int(bag.first);
    if (k >= bag.size - 1) continue;  // a cycle: the input changed under our hands
    tree.codes[k] = Ends<Short>::code(Short(Ends<Long>::smaller(code) - first),
                                      Short(Ends<Long>::larger(code) - first));
    tree.keys[k] = forest.infinite[bag.first + v];
  }
  finish<In, Quick>(space, bag, tree, forest.distrusted[b], edges, weights);
}

// A warp per row: the key of the edge that its vertex took, and its ends by vertex of the bag.
template <class In, class Quick>
__global__ void __launch_bounds__(256)
    measure_edges(Bags bags, Space<In> space, Forest<Quick> forest, Choices<Key<In>, Long> edges) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= forest.rows) return;
  const int b = forest.owner[row], lane = threadIdx.x % warp_size;
  const Long code = forest.taken[row];
  Key<In> key = absent<In>;
  Long local = no_edge;
  if (b != nobody && code != no_edge) {
    const Bag bag = bag_at(bags, b);
    const int i = Ends<Long>::smaller(code) - int(bag.first);
    const int j = Ends<Long>::larger(code) - int(bag.first);
    bool bad = false;
    key = measured<Quick>(space, values_of(space, bag), i, j, forest.infinite[row], bad);
    local = edge_code(i, j);
    if (bad && lane == 0) forest.distrusted[b] = 1;
  }
  if (lane == 0) edges.put(row, {key, local});
}

template <class In, class Quick>
__global__ void __launch_bounds__(1024)
    textbook(Bags bags, Space<In> space, Forest<Quick> forest, Choices<Key<In>, Long> edges,
             Key<double>* key, int* from) {
  const int b = blockIdx.x, n = forest.size[b];
  if (!forest.distrusted[b] || n < 2 || space.metric == Metric::precomputed) return;
  const Bag bag = bag_at(bags, b);
  const In* points = values_of(space, bag);
  const std::int64_t first = bag.first;
  TextbookChoice* board = reinterpret_cast<TextbookChoice*>(shared_memory());
  if (threadIdx.x == 0) edges.put(first + n - 1, {absent<In>, no_edge});
  textbook_prim(space, points, n, key + first, from + first, board,
                [&](int k, int i, int j) { edges.codes[first + k] = edge_code(i, j); });
  for (int k = threadIdx.x / warp_size; k < n - 1; k += blockDim.x / warp_size) {
    bool bad = false;
    const Long code = edges.codes[first + k];
    const int i = Ends<Long>::smaller(code), j = Ends<Long>::larger(code);
    const Key<In> exact = measured<Quick>(space, points, i, j, false, bad);
    if (threadIdx.x % warp_size == 0) edges.keys[first + k] = exact;
  }
}

template <class In>
__global__ void __launch_bounds__(256)
    merge_runs(Bags bags, int rows, const int* owner, const int* size, std::int64_t run,
               Choices<Key<In>, Long> edges, Choices<Key<In>, Long> sorted) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = row < rows ? owner[row] : nobody;
  if (b == nobody || size[b] == 0) return;
  const std::int64_t first = bag_at(bags, b).first;
  sorted.put(merged_place(edges, first, size[b], run, row - first), edges[row]);
}

template <class In>
__global__ void __launch_bounds__(256)
    write_rows(Bags bags, int rows, const int* owner, const int* size,
               Choices<Key<In>, Long> sorted, std::int64_t* edges, In* weights) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const int b = bags.cu_seqlens ? owner[row] : int(row / bags.n);
  if (b == nobody || (bags.cu_seqlens && size[b] == 0)) return;
  const Bag bag = bag_at(bags, b);
  const int k = int(row - bag.first);
  if (k >= bag.out_rows) return;
  const Choice<Key<In>, Long> edge = sorted[row];
  const bool real = k < size[b] - 1 && edge.code != no_edge;
  const std::int64_t out = bag.out + k;
  edges[2 * out] = real ? bag.named + Ends<Long>::smaller(edge.code) : -1;
  edges[2 * out + 1] = real ? bag.named + Ends<Long>::larger(edge.code) : -1;
  weights[out] = real ? order_weight<In>(edge.key) : In(0);
}

}  // namespace

template <class In>
Sorting<In> Sorting<In>::in(Arena& arena, const Space<In>& space, const Bags& bags) {
  Sorting<In> s = {};
  if (bags.n <= block_limit) return s;
  for (Choices<Key<In>, Long>& list : s.edges)
    list = {arena.take<Key<In>>(bags.rows), arena.take<Long>(bags.rows)};
  if (space.metric == Metric::precomputed) return s;
  s.textbook_key = arena.take<Key<double>>(bags.rows);
  s.textbook_from = arena.take<int>(bags.rows);
  return s;
}

template <class In, class Quick>
void kruskal_order(const Space<In>& space, const Bags& bags, const Forest<Quick>& forest,
                   const Sorting<In>& sorting, std::int64_t* edges, In* weights, Stream stream) {
  const int rows = forest.rows;
  if (bags.n <= block_limit) {
    const int threads = bags.n <= 256 ? 256 : 1024;
    launch(finish_in_block<In, Quick>, bags.count, threads, BlockTree<In>::bytes(bags.n), stream,
           bags, space, forest, int(BlockTree<In>::places(bags.n)), edges, weights);
    return;
  }
  launch(measure_edges<In, Quick>, ceil_div(bags.rows * warp_size, 256), 256, 0, stream, bags,
         space, forest, sorting.edges[0]);
  if (space.metric != Metric::precomputed)
    launch(textbook<In, Quick>, bags.count, 1024, 2 * warp_size * sizeof(TextbookChoice), stream,
           bags, space, forest, sorting.edges[0], sorting.textbook_key, sorting.textbook_from);
  int now = 0;
  for (std::int64_t run = 1; run < bags.n; run *= 2, now = 1 - now)
    launch(merge_runs<In>, ceil_div(bags.rows, 256), 256, 0, stream, bags, rows, forest.owner,
           forest.size, run, sorting.edges[now], sorting.edges[1 - now]);
  launch(write_rows<In>, ceil_div(bags.rows, 256), 256, 0, stream, bags, rows, forest.owner,
         forest.size, sorting.edges[now], edges, weights);
}

template struct Sorting<float>;
template struct Sorting<double>;
template void kruskal_order(const Space<float>&, const Bags&, const Forest<float>&,
                            const Sorting<float>&, std::int64_t*, float*, Stream);
template void kruskal_order(const Space<float>&, const Bags&, const Forest<double>&,
                            const Sorting<float>&, std::int64_t*, float*, Stream);
template void kruskal_order(const Space<double>&, const Bags&, const Forest<double>&,
                            const Sorting<double>&, std::int64_t*, double*, Stream);

}  // namespace torchtopo::cuda
