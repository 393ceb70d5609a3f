// The edges of the trees of two spaces, each measured in both: what the signature loss compares.
#include "compare.cuh"
#include "length.cuh"

namespace torchtopo::cuda {
namespace {

// A warp per pair: those of x before those of z. A tree's own lengths need not be measured again.
template <class X, class Z>
__global__ void __launch_bounds__(256, 2)  // registers for all loads of a pair at once
    measure_in_both(Space<X> x, Space<Z> z, std::int64_t n, std::int64_t m, std::int64_t count,
                    Tree tree_x, Tree tree_z, std::int64_t* pairs, X* lengths_x, Z* lengths_z) {
  const std::int64_t pair = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (pair >= count) return;
  const std::int64_t bag = pair / (2 * m), within = pair % (2 * m);
  const bool of_z = within >= m;
  const std::int64_t edge = bag * m + (of_z ? within - m : within), first = bag * n;
  const std::int64_t* ends = (of_z ? tree_z : tree_x).edges + 2 * edge;
  const std::int64_t i = ends[0], j = ends[1];
  const X* own_x = of_z ? nullptr : static_cast<const X*>(tree_x.weights);
  const Z* own_z = of_z ? static_cast<const Z*>(tree_z.weights) : nullptr;
  const double a = own_x ? double(own_x[edge]) : warp_pair_length(x, first, n, i, j);
  const double b = own_z ? double(own_z[edge]) : warp_pair_length(z, first, n, i, j);
  if (threadIdx.x % warp_size != 0) return;
  const bool apart = one_is_infinite(double(X(a)), double(Z(b)));
  pairs[2 * pair] = apart ? -1 : i;
  pairs[2 * pair + 1] = apart ? -1 : j;
  lengths_x[pair] = apart ? X(0) : X(a);
  lengths_z[pair] = apart ? Z(0) : Z(b);
}

}  // namespace

void signature_edges(const AnySpace& x, const AnySpace& z, const Bags& bags, const Tree& tree_x,
                     const Tree& tree_z, std::int64_t* pairs, void* lengths_x, void* lengths_z,
                     Stream stream) {
  const bool packed = bags.cu_seqlens;  // one forest over all rows
  const std::int64_t n = packed ? bags.rows : bags.n;
  const std::int64_t m = packed ? bags.rows - bags.count : bags.n - 1;
  const std::int64_t count = 2 * m * (packed ? 1 : bags.count);
  with_real(x.dtype, [&](auto real_x) {
    with_real(z.dtype, [&](auto real_z) {
      using X = decltype(real_x);
      using Z = decltype(real_z);
      launch(measure_in_both<X, Z>, ceil_div(count * warp_size, 256), 256, 0, stream, x.as<X>(),
             z.as<Z>(), n, m, count, tree_x, tree_z, pairs, static_cast<X*>(lengths_x),
             static_cast<Z*>(lengths_z));
    });
  });
}

}  // namespace torchtopo::cuda
