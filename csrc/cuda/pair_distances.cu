// Lengths of given pairs, a warp per pair, measured as the trees' edges are: the same bits.
#include "length.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(256)
    measure_pairs(const Real* points, Metric metric, std::int64_t n, std::int64_t d,
                  const std::int64_t* pairs, std::int64_t m, std::int64_t count, Real* out) {
  const std::int64_t pair = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (pair >= count) return;
  const std::int64_t first = pair / m * n;
  std::int64_t i = pairs[2 * pair], j = pairs[2 * pair + 1];
  double length = 0;
  // A pair may name its ends in either order, and is measured in one.
  if (i > j) {
    const std::int64_t larger = i;
    i = j, j = larger;
  }
  if (i >= 0 && j < n)
    length = warp_length(points + (first + i) * d, points + (first + j) * d, d, metric);
  if (threadIdx.x % warp_size == 0) out[pair] = Real(length);
}

template <class Real>
void run(const void* points, Metric metric, std::int64_t bags, std::int64_t n, std::int64_t d,
         const std::int64_t* pairs, std::int64_t m, void* out, Stream stream) {
  launch(measure_pairs<Real>, ceil_div(bags * m * warp_size, 256), 256, 0, stream,
         static_cast<const Real*>(points), metric, n, d, pairs, m, bags * m,
         static_cast<Real*>(out));
}

}  // namespace

void pair_distances(const void* points, int dtype, Metric metric, std::int64_t bags, std::int64_t n,
                    std::int64_t d, const std::int64_t* pairs, std::int64_t m, void* out,
                    Stream stream) {
  if (dtype == 1)
    run<double>(points, metric, bags, n, d, pairs, m, out, stream);
  else
    run<float>(points, metric, bags, n, d, pairs, m, out, stream);
}

}  // namespace torchtopo::cuda
