// Boruvka over many blocks: a fixed number of launches, whatever the data. In each round all blocks
// look for nearest neighbours, then a block per bag merges components; both return at once where a
// bag is done.
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(256) claim_rows(Bags bags, Forest<Real> forest) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= forest.rows) return;
  forest.owner[row] = int(bag_of(bags, row));
  forest.component[row] = int(row);
  forest.taken[row] = no_edge;
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
  forest.size[b] = size;
  forest.done[b] = size < 2;
  if (!distrust) forest.distrusted[b] = 0;
}

template <class Real>
__global__ void __launch_bounds__(1024) merge_components(Bags bags, Forest<Real> forest) {
  const int b = blockIdx.x;
  if (forest.done[b]) return;
  const bool done = merge(forest, int(bag_at(bags, b).first), forest.size[b]);
  if (threadIdx.x == 0) forest.done[b] = done;
}

}  // namespace

template <class Real>
void boruvka(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
             Stream stream) {
  launch(claim_rows<Real>, ceil_div(bags.rows, 256), 256, 0, stream, bags, forest);
  launch(accept_bags<Real>, bags.count, 256, 0, stream, bags, forest,
         compared.metric == Metric::cosine);
  const int threads = bags.n <= 1024 ? int(ceil_div(bags.n, warp_size) * warp_size) : 1024;
  for (std::int64_t components = bags.n; components > 1; components = (components + 1) / 2) {
    if (compared.metric == Metric::precomputed)
      nearest_of_matrix(compared, bags, forest, stream);
    else
      nearest_of_points(compared, bags, forest, stream);
    launch(merge_components<Real>, bags.count, threads, 0, stream, bags, forest);
  }
}

template void boruvka(const Space<float>&, const Bags&, const Forest<float>&, Stream);
template void boruvka(const Space<double>&, const Bags&, const Forest<double>&, Stream);

}  // namespace torchtopo::cuda
