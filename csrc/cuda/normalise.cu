// Unit vectors in double, whose squared distances are twice the cosine distances.
#include "length.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

__global__ void __launch_bounds__(256) clear(int* flags, std::int64_t count) {
  const std::int64_t k = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k < count) flags[k] = 0;
}

// A warp per row. Zero vectors lie far from all unit vectors and from each other, where
// Cosine::finish looks for them; any other point without a direction is left as zeros and marks its
// bag. So are rows of no bag, which tiles read beside those of one.
template <class In>
__global__ void __launch_bounds__(256)
    unit_vectors(Bags bags, const In* points, std::int64_t d, double* unit, int* distrusted) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  const int lane = threadIdx.x % warp_size;
  if (row >= bags.rows) return;
  const std::int64_t b = bag_of(bags, row);
  if (b < 0) {
    for (std::int64_t k = lane; k < d; k += warp_size) unit[row * d + k] = 0;
    return;
  }
  const In* x = points + row * d;
  const double norm = warp_norm(d, [=](std::int64_t k) { return double(x[k]); });
  const bool usable = norm > 1e-150 && norm < 1e150;
  if (!usable && norm != 0 && lane == 0) distrusted[b] = 1;
  for (std::int64_t k = lane; k < d; k += warp_size)
    unit[row * d + k] = usable ? double(x[k]) / norm : 0.0;
  if (norm == 0 && lane == 0) unit[row * d] = 4.0 * double(row - bag_at(bags, b).first + 1);
}

}  // namespace

template <class In>
void normalise(const Space<In>& space, const Bags& bags, double* unit, int* distrusted,
               Stream stream) {
  launch(clear, ceil_div(bags.count, 256), 256, 0, stream, distrusted, bags.count);
  launch(unit_vectors<In>, ceil_div(bags.rows * warp_size, 256), 256, 0, stream, bags, space.values,
         space.d, unit, distrusted);
}

template void normalise(const Space<float>&, const Bags&, double*, int*, Stream);
template void normalise(const Space<double>&, const Bags&, double*, int*, Stream);

}  // namespace torchtopo::cuda
