// Sums of squared differences, bag by bag, and their gradient: the signature loss in two launches.
//
// A block adds up a bag, its threads and then its warps in a fixed order: the same bits in every
// run.
#include <type_traits>

#include "warp.cuh"

namespace torchtopo::cuda {
namespace {

template <class A, class B>
using Wider = std::conditional_t<sizeof(A) >= sizeof(B), A, B>;

template <class A, class B>
__global__ void __launch_bounds__(1024)
    sum_squares(const A* a, const B* b, std::int64_t m, Shares shares, Wider<A, B>* sums) {
  using Wide = Wider<A, B>;
  const std::int64_t first = std::int64_t(blockIdx.x) * m;
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  double sum = 0;
  for (std::int64_t k = threadIdx.x; k < m; k += blockDim.x) {
    const double difference = double(Wide(a[first + k]) - Wide(b[first + k]));
    sum += difference * difference;
  }
  double* board = reinterpret_cast<double*>(shared_memory());
  sum = warp_sum(sum);
  if (lane == 0) board[warp] = sum;
  __syncthreads();
  sum = warp_sum(lane < int(blockDim.x) / warp_size ? board[lane] : 0.0);
  if (threadIdx.x == 0) sums[blockIdx.x] = Wide(sum / shares.of<Wide>(blockIdx.x));
}

template <class A, class B>
__global__ void __launch_bounds__(256)
    pull_squares(const A* a, const B* b, std::int64_t m, std::int64_t count, Shares shares,
                 const Wider<A, B>* grad, A* slopes) {
  using Wide = Wider<A, B>;
  const std::int64_t k = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (k >= count) return;
  const std::int64_t bag = k / m;
  const Wide by = Wide(2 * double(grad[bag]) / shares.of<Wide>(bag));
  slopes[k] = A((Wide(a[k]) - Wide(b[k])) * by);
}

}  // namespace

void squares(const Reals& a, const Reals& b, std::int64_t bags, std::int64_t m,
             const Shares& shares, void* sums, Stream stream) {
  const int threads = m <= 256 ? 128 : m <= 1024 ? 256 : 1024;
  with_real(a.dtype, [&](auto real_a) {
    with_real(b.dtype, [&](auto real_b) {
      using A = decltype(real_a);
      using B = decltype(real_b);
      launch(sum_squares<A, B>, bags, threads, warp_size * sizeof(double), stream,
             static_cast<const A*>(a.values), static_cast<const B*>(b.values), m, shares,
             static_cast<Wider<A, B>*>(sums));
    });
  });
}

void squares_pulls(const Reals& a, const Reals& b, std::int64_t bags, std::int64_t m,
                   const Shares& shares, const void* grad, void* slopes, Stream stream) {
  with_real(a.dtype, [&](auto real_a) {
    with_real(b.dtype, [&](auto real_b) {
      using A = decltype(real_a);
      using B = decltype(real_b);
      launch(pull_squares<A, B>, ceil_div(bags * m, 256), 256, 0, stream,
             static_cast<const A*>(a.values), static_cast<const B*>(b.values), m, bags * m, shares,
             static_cast<const Wider<A, B>*>(grad), static_cast<A*>(slopes));
    });
  });
}

}  // namespace torchtopo::cuda
