// The signature loss of each bag from the lengths of its pairs in both spaces, and its slopes: how
// it changes with each length and with what divides them. One launch; what is left of the gradient
// is to pull at the points.
//
// A block has a bag, its threads and then its warps add in a fixed order: the same bits in every
// run.
#include <type_traits>

#include "warp.cuh"

namespace torchtopo::cuda {
namespace {

// The sum over a block, given to all its threads.
__device__ double block_sum(double value, double* board) {
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  value = warp_sum(value);
  __syncthreads();  // the board may still be read
  if (lane == 0) board[warp] = value;
  __syncthreads();
  return warp_sum(lane < int(blockDim.x) / warp_size ? board[lane] : 0.0);
}

// A space's lengths of one bag.
template <class Real>
struct Lengths {
  const Real* of;
  double divisor;

  __device__ Lengths(const Compared& space, std::int64_t bag, std::int64_t pairs)
      : of(static_cast<const Real*>(space.lengths) + bag * pairs), divisor(space.divisor(bag)) {}
  __device__ double operator[](std::int64_t k) const { return double(of[k]) / divisor; }
};

// Writes a space's slopes, from those of the differences: `sign` says how it enters these.
template <class Real, class Slope>
__device__ void write_slopes(const Compared& space, const Lengths<Real>& lengths, double sign,
                             std::int64_t bag, std::int64_t pairs, Slope slope, double* board) {
  if (!space.slopes && !space.slope_of_divisor) return;
  Real* out = static_cast<Real*>(space.slopes) + bag * pairs;
  double moment = 0;
  for (std::int64_t k = threadIdx.x; k < pairs; k += blockDim.x) {
    const double by = sign * slope(k) / lengths.divisor;
    out[k] = Real(by);
    moment += by * lengths[k];
  }
  if (!space.slope_of_divisor) return;
  moment = block_sum(moment, board);
  if (threadIdx.x == 0) static_cast<Real*>(space.slope_of_divisor)[bag] = Real(-moment);
}

template <class X, class Z>
using Wider = std::conditional_t<sizeof(X) >= sizeof(Z), X, Z>;

// The pairs of a bag are those of the tree of x and then as many of the tree of z.
template <class X, class Z>
__global__ void __launch_bounds__(1024)
    losses_of_bags(Compared x, Compared z, std::int64_t half, Shares shares, Wider<X, Z>* losses) {
  double* board = reinterpret_cast<double*>(shared_memory());
  const std::int64_t bag = blockIdx.x, pairs = 2 * half;
  const Lengths<X> a(x, bag, pairs);
  const Lengths<Z> b(z, bag, pairs);
  double squares[2];
#pragma unroll
  for (int tree = 0; tree < 2; ++tree) {
    double sum = 0;
    for (std::int64_t k = tree * half + threadIdx.x; k < (tree + 1) * half; k += blockDim.x)
      sum += (a[k] - b[k]) * (a[k] - b[k]);
    squares[tree] = block_sum(sum, board);
  }
  double factor[2], loss;
  if (shares.halves_of_norms()) {
    const double norm[2] = {sqrt(squares[0]), sqrt(squares[1])};
    loss = (norm[0] + norm[1]) / 2;
    for (int tree = 0; tree < 2; ++tree) factor[tree] = norm[tree] == 0 ? 0 : 0.5 / norm[tree];
  } else {
    const double share = shares.of(bag);
    loss = (squares[0] + squares[1]) / share;
    factor[0] = factor[1] = 2 / share;
  }
  if (threadIdx.x == 0) losses[bag] = Wider<X, Z>(loss);
  const auto slope = [&](std::int64_t k) { return (a[k] - b[k]) * factor[k < half ? 0 : 1]; };
  write_slopes(x, a, 1, bag, pairs, slope, board);
  write_slopes(z, b, -1, bag, pairs, slope, board);
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
