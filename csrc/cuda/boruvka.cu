// Boruvka over many blocks: a fixed number of launches, whatever the data. One scan fills segments
// (segments.cuh), from which a block finds the tree of a small bag. For large ones all blocks look
// for nearest neighbours in each round, and a block per bag merges components; all return at once
// where a bag is done.
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
  forest.done[b] = size < 2;
  if (!distrust) forest.distrusted[b] = 0;
}

template <class Real>
__global__ void __launch_bounds__(1024) merge_components(Forest<Real> forest, bool in_parts) {
  const int b = blockIdx.x;
  if (forest.done[b]) return;
  const int first = forest.first[b], size = forest.size[b];
  if (in_parts) join_parts(forest, first, size);
  const bool done = merge(forest, first, size);
  if (threadIdx.x == 0) forest.done[b] = done;
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
  const int threads = bags.n <= 1024 ? int(ceil_div(bags.n, warp_size) * warp_size) : 1024;
  for (std::int64_t components = bags.n; components > 1; components = (components + 1) / 2) {
    if (scanned)
      look_and_read(compared, bags, forest, segments, components == bags.n, stream);
    else
      nearest_of_points(compared, bags, forest, stream);
    launch(merge_components<Real>, bags.count, threads, 0, stream, forest, !scanned);
  }
}

template void boruvka(const Space<float>&, const Bags&, const Forest<float>&,
                      const Segments<float>&, Stream);
template void boruvka(const Space<double>&, const Bags&, const Forest<double>&,
                      const Segments<double>&, Stream);

}  // namespace torchtopo::cuda
