// Boruvka over many blocks: a fixed number of launches, whatever the data. One scan fills segments
// (segments.cuh), from which a block finds the tree of a small bag. For large ones all blocks look
// for nearest neighbours in each round and merge components; all return at once where a bag is
// done.
#include "plan.hpp"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(256) claim_rows(Bags bags, Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= forest.rows) return;
  forest.owner[row] = int(bag_of(bags, row));
  stand_alone(forest, int(row));
  forest.infinite[row] = 0;
}

// A bag that shares a row with another, as only wrong cu_seqlens can have it, is left out.
template <class Real>
__global__ void __launch_bounds__(256) accept_bags(Bags bags, Forest<Real> forest, bool distrust) {
  const int b = blockIdx.x;
  const Bag bag = bag_at(bags, b);
  bool foreign = false;
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x)
    foreign |= forest.owner[bag.first + v] != b;
  const int size = __syncthreads_or(foreign) ? 0 : bag.size;
  if (threadIdx.x != 0) return;
  forest.first[b] = int(bag.first);
  forest.size[b] = size;
  forest.left[b] = size;
  forest.done[b] = size < 2;
  if (!distrust) forest.distrusted[b] = 0;
}

// The bag of a row that has more than one component, or nobody.
template <class Real>
__device__ int open_bag(const Forest<Real>& forest, std::int64_t row) {
  const int b = row < forest.rows ? forest.owner[row] : nobody;
  return b == nobody || forest.done[b] ? nobody : b;
}

// A round's merging by all blocks, a thread per row; the barriers of `merge` are launches here.
template <class Real>
__global__ void __launch_bounds__(256) join_searches(Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (open_bag(forest, row) != nobody) join_parts(forest, int(row));
}

template <class Real>
__global__ void __launch_bounds__(256) name_edges(Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (open_bag(forest, row) != nobody) name_edge(forest, int(row));
}

// When the last but one root has hooked the bag is done: those that come later have nothing to do.
template <class Real>
__global__ void __launch_bounds__(256) hook_roots(Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = open_bag(forest, row);
  if (b != nobody && hook(forest, int(row)) && atomicAdd(&forest.left[b], -1) == 2)
    forest.done[b] = 1;
}

// The root of a root's tree, along parents that others shorten meanwhile: whatever is read there,
// now or stale, is an ancestor. Ends after `most` steps even in a cycle, as only input that changes
// under our hands makes.
__device__ inline int last_root(int* parent, int v, int most) {
  volatile int* now = parent;
  for (int step = 0; step < most; ++step) {
    const int up = now[v];
    if (up == v) break;
    const int further = now[up];
    now[v] = further;
    v = further;
  }
  return v;
}

template <class Real>
__global__ void __launch_bounds__(256) join_roots(Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = open_bag(forest, row);
  if (b == nobody) return;
  const int v = int(row);
  join(forest, v, last_root(forest.parent[0], forest.component[v], forest.size[b]));
}

}  // namespace

template <class Real>
void boruvka(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
             const Segments<Real>& segments, Stream stream) {
  launch(claim_rows<Real>, ceil_div(bags.rows, 256), 256, 0, stream, bags, forest);
  launch(accept_bags<Real>, bags.count, 256, 0, stream, bags, forest,
         compared.metric == Metric::cosine);
  const bool scanned = segments.exist();
  if (scanned) scan(compared, bags, forest, segments, stream);
  if (scanned && bags.n <= rounds_block_limit)
    return all_rounds(compared, bags, forest, segments, stream);
  const std::int64_t blocks = ceil_div(bags.rows, 256);
  for (std::int64_t components = bags.n; components > 1; components = (components + 1) / 2) {
    if (scanned) {
      look_and_read(compared, bags, forest, segments, components == bags.n, stream);
    } else {
      nearest_of_points(compared, bags, forest, stream);
      launch(join_searches<Real>, blocks, 256, 0, stream, forest);
    }
    launch(name_edges<Real>, blocks, 256, 0, stream, forest);
    launch(hook_roots<Real>, blocks, 256, 0, stream, forest);
    launch(join_roots<Real>, blocks, 256, 0, stream, forest);
  }
}

template void boruvka(const Space<float>&, const Bags&, const Forest<float>&,
                      const Segments<float>&, Stream);
template void boruvka(const Space<double>&, const Bags&, const Forest<double>&,
                      const Segments<double>&, Stream);

}  // namespace torchtopo::cuda
