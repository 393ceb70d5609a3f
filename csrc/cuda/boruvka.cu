// Boruvka over many blocks: a fixed number of launches, whatever the data. In each round all blocks
// look for nearest neighbours, then a block per bag merges components; both return at once where a
// bag is done.
#include "trees.hpp"

namespace torchtopo::cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(256) claim_rows(Bags bags, Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= forest.rows) return;
  forest.owner[row] = int(bags.of(row));
  forest.component[row] = int(row);
  forest.taken[row] = no_edge;
  forest.infinite[row] = 0;
}

// A bag that shares a row with another, as only wrong cu_seqlens can have it, is left out.
template <class Real>
__global__ void __launch_bounds__(256) accept_bags(Bags bags, Forest<Real> forest, bool distrust) {
  const int b = blockIdx.x;
  const Bag bag = bags.at(b);
  bool foreign = false;
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x)
    foreign |= forest.owner[bag.first + v] != b;
  const int size = __syncthreads_or(foreign) ? 0 : bag.size;
  if (threadIdx.x != 0) return;
  forest.size[b] = size;
  forest.done[b] = size < 2;
  if (!distrust) forest.distrusted[b] = 0;
}

template <class Real>
__global__ void __launch_bounds__(1024) merge_components(Bags bags, Forest<Real> forest) {
  const int b = blockIdx.x;
  if (forest.done[b]) return;
  const bool done = merge(forest, int(bags.at(b).first), forest.size[b]);
  if (threadIdx.x == 0) forest.done[b] = done;
}

}  // namespace

template <class In, class Real>
void boruvka(const Batch& batch, const Real* points, const Forest<Real>& forest, Stream stream) {
  const Bags bags(batch);
  launch(claim_rows<Real>, ceil_div(batch.rows, 256), 256, 0, stream, bags, forest);
  launch(accept_bags<Real>, batch.bags, 256, 0, stream, bags, forest,
         batch.metric == Metric::cosine);
  const int threads = batch.n <= 1024 ? int(ceil_div(batch.n, warp_size) * warp_size) : 1024;
  for (std::int64_t components = batch.n; components > 1; components = (components + 1) / 2) {
    if (batch.is_matrix())
      nearest_of_matrix(batch, forest, stream);
    else
      nearest_of_points(batch, points, forest, stream);
    launch(merge_components<Real>, batch.bags, threads, 0, stream, bags, forest);
  }
}

template void boruvka<float, float>(const Batch&, const float*, const Forest<float>&, Stream);
template void boruvka<float, double>(const Batch&, const double*, const Forest<double>&, Stream);
template void boruvka<double, double>(const Batch&, const double*, const Forest<double>&, Stream);

}  // namespace torchtopo::cuda
