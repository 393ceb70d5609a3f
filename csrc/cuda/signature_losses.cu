// The signature loss of each bag from the lengths of its pairs in both spaces, and its slopes, a
// block a bag. One launch; what is left of the gradient is to pull at the points.
#include "compare.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real>
__device__ Lengths<Real> lengths_of(const Compared& space, std::int64_t bag, std::int64_t pairs) {
  return {static_cast<const Real*>(space.lengths) + bag * pairs, space.divisor(bag)};
}

template <class X, class Z>
__global__ void __launch_bounds__(1024)
    losses_of_bags(Compared x, Compared z, std::int64_t half, Shares shares, Wider<X, Z>* losses) {
  double* board = reinterpret_cast<double*>(shared_memory());
  const std::int64_t bag = blockIdx.x, pairs = 2 * half;
  const BagLoss<Lengths<X>, Lengths<Z>> of(lengths_of<X>(x, bag, pairs),
                                           lengths_of<Z>(z, bag, pairs), half, shares, bag, board);
  if (threadIdx.x == 0) losses[bag] = Wider<X, Z>(of.loss);
  for (std::int64_t k = threadIdx.x; k < pairs; k += blockDim.x) {
    if (x.slopes) static_cast<X*>(x.slopes)[bag * pairs + k] = X(of.slope_x(k));
    if (z.slopes) static_cast<Z*>(z.slopes)[bag * pairs + k] = Z(of.slope_z(k));
  }
  if (x.slope_of_divisor) {
    const double slope = of.slope_of_divisor_x(board);
    if (threadIdx.x == 0) static_cast<X*>(x.slope_of_divisor)[bag] = X(slope);
  }
  if (z.slope_of_divisor) {
    const double slope = of.slope_of_divisor_z(board);
    if (threadIdx.x == 0) static_cast<Z*>(z.slope_of_divisor)[bag] = Z(slope);
  }
}

}  // namespace

void signature_losses(const Compared& x, const Compared& z, std::int64_t bags, std::int64_t half,
                      const Shares& shares, void* losses, Stream stream) {
  const int threads = half <= 128 ? 128 : half <= 512 ? 256 : 1024;
  with_real(x.dtype, [&](auto real_x) {
    with_real(z.dtype, [&](auto real_z) {
      using X = decltype(real_x);
      using Z = decltype(real_z);
      launch(losses_of_bags<X, Z>, bags, threads, warp_size * sizeof(double), stream, x, z, half,
             shares, static_cast<Wider<X, Z>*>(losses));
    });
  });
}

}  // namespace torchtopo::cuda
