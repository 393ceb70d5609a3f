// The farthest pair of each bag: what the conventions that divide by a bag's largest distance need.
//
// Every distance is measured exactly, once, by a warp per row, four at a time; then a block per bag
// takes the largest. Infinite distances are passed over, NaN comes before all, ties go to the
// smaller (i, j). Two spaces of one type share the launches.
#include "finish.cuh"

namespace torchtopo::cuda {
namespace {

using Farthest = Choice<Key<double>, Long>;  // the key negated: the farthest is the least

// A length may be finite in double and infinite in the type of the points: it is passed over.
template <class In>
__device__ Farthest far(double length, std::int64_t i, std::int64_t j) {
  if (fabs(In(length)) > largest<In>) return Farthest::none();
  return {-order_key(length), Ends<Long>::code(Long(i), Long(j))};
}

// By a warp, among the rows after its own.
template <class In>
__device__ Farthest farthest_of_row(const Bags& bags, const Space<In>& space, std::int64_t row) {
  const int lane = threadIdx.x % warp_size;
  const std::int64_t b = bag_of(bags, row);
  Farthest best = Farthest::none();
  if (b < 0) return best;
  const Bag place = bag_at(bags, b);
  const In* bag = values_of(space, place);
  const std::int64_t i = row - place.first, d = space.d;
  if (space.metric == Metric::precomputed) {
    for (std::int64_t j = i + 1 + lane; j < place.size; j += warp_size) {
      const Farthest found = far<In>(double(bag[i * space.d + j]), row, place.first + j);
      if (found < best) best = found;
    }
    return warp_min(best);
  }
  constexpr int many = measured_at_once;
  for (std::int64_t begin = i + 1; begin < place.size; begin += many) {
    const auto pointed = [&](int e) {
      const std::int64_t j = begin + e < place.size ? begin + e : place.size - 1;
      return Pointed<In>{bag + i * d, bag + j * d};
    };
    const double length = warp_lengths<many, 2>(pointed, d, space.metric);
    const std::int64_t j = begin + folded_by<many>(lane);
    if (j >= place.size) continue;
    const Farthest found = far<In>(length, row, place.first + j);
    if (found < best) best = found;
  }
  return warp_min(best);
}

// Of the space that a block has to do with: the blocks of x come before those of z.
struct Asked {
  FarthestPairs x, z;
  std::int64_t blocks;  // of each

  __device__ bool of_z() const { return blockIdx.x >= blocks; }
  __device__ const FarthestPairs& space() const { return of_z() ? z : x; }
  __device__ std::int64_t block() const { return blockIdx.x - (of_z() ? blocks : 0); }
};

template <class In>
__global__ void __launch_bounds__(256)
    farthest_of_rows(Bags bags, Asked asked, Farthest* farthest) {
  const std::int64_t row = (asked.block() * blockDim.x + threadIdx.x) / warp_size;
  if (row >= bags.rows) return;
  const Farthest found = farthest_of_row(bags, asked.space().space.as<In>(), row);
  if (threadIdx.x % warp_size == 0) farthest[(asked.of_z() ? bags.rows : 0) + row] = found;
}

__global__ void __launch_bounds__(256)
    farthest_of_bags(Bags bags, Asked asked, const Farthest* farthest) {
  const std::int64_t b = asked.block();
  const Bag bag = bag_at(bags, b);
  farthest += (asked.of_z() ? bags.rows : 0) + bag.first;
  Farthest best = Farthest::none();
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x)
    if (farthest[v] < best) best = farthest[v];
  Farthest* board = reinterpret_cast<Farthest*>(shared_memory());
  best = block_min(best, board, 0, blockDim.x / warp_size);
  if (threadIdx.x != 0) return;
  const FarthestPairs& out = asked.space();
  const bool any = best.key != Farthest::none().key;
  const std::int64_t named = bag.named - bag.first;
  std::int64_t* pair = out.pairs + 2 * b;
  pair[0] = any ? named + Ends<Long>::smaller(best.code) : -1;
  pair[1] = any ? named + Ends<Long>::larger(best.code) : -1;
  if (!out.lengths) return;
  // Rounded as lengths of the points are, whatever it is kept in.
  double length = any ? order_weight<double>(-best.key) : 0;
  if (out.space.dtype == 0) length = float(length);
  if (out.dtype == 0)
    static_cast<float*>(out.lengths)[b] = float(length);
  else
    static_cast<double*>(out.lengths)[b] = length;
}

void run(const FarthestPairs& x, const FarthestPairs& z, int spaces, const Bags& bags,
         Farthest* farthest, Stream stream) {
  const std::int64_t blocks = ceil_div(bags.rows * warp_size, 256);
  with_real(x.space.dtype, [&](auto real) {
    launch(farthest_of_rows<decltype(real)>, spaces * blocks, 256, 0, stream, bags,
           Asked{x, z, blocks}, farthest);
  });
  launch(farthest_of_bags, spaces * bags.count, 256, 2 * warp_size * sizeof(Farthest), stream, bags,
         Asked{x, z, bags.count}, farthest);
}

}  // namespace

std::size_t farthest_pairs_workspace(const Bags& bags, int spaces) {
  return std::size_t(spaces) * std::size_t(bags.rows) * sizeof(Farthest);
}

void farthest_pairs(const FarthestPairs& x, const FarthestPairs& z, const Bags& bags,
                    void* workspace, Stream stream) {
  check_rows(bags);
  Farthest* farthest = static_cast<Farthest*>(workspace);
  if (x.pairs && z.pairs && x.space.dtype == z.space.dtype)
    return run(x, z, 2, bags, farthest, stream);
  if (x.pairs) run(x, x, 1, bags, farthest, stream);
  if (z.pairs) run(z, z, 1, bags, farthest, stream);
}

}  // namespace torchtopo::cuda
