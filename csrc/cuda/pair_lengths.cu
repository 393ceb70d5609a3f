// Lengths of given pairs, a warp per pair, measured as the trees' edges are: the same bits.
#include "length.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real>
__global__ void __launch_bounds__(256)
    measure_pairs(Space<Real> space, std::int64_t n, const std::int64_t* pairs, std::int64_t m,
                  std::int64_t count, Real* lengths) {
  const std::int64_t pair = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (pair >= count) return;
  const double length =
      warp_pair_length(space, pair / m * n, n, pairs[2 * pair], pairs[2 * pair + 1]);
  if (threadIdx.x % warp_size == 0) lengths[pair] = Real(length);
}

template <class Real>
void run(const Space<Real>& space, const Bags& bags, const std::int64_t* pairs, std::int64_t m,
         void* lengths, Stream stream) {
  const std::int64_t count = bags.count * m;
  launch(measure_pairs<Real>, ceil_div(count * warp_size, 256), 256, 0, stream, space, bags.n,
         pairs, m, count, static_cast<Real*>(lengths));
}

}  // namespace

void pair_lengths(const AnySpace& space, const Bags& bags, const std::int64_t* pairs,
                  std::int64_t m, void* lengths, Stream stream) {
  with_real(space.dtype,
            [&](auto real) { run(space.as<decltype(real)>(), bags, pairs, m, lengths, stream); });
}

}  // namespace torchtopo::cuda
