// The farthest pair of each bag: what the conventions that divide by a bag's largest distance need.
//
// Every distance is measured exactly, once, by a warp per row; then a block per bag takes the
// largest. Infinite distances are passed over, NaN comes before all, ties go to the smaller (i, j).
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

template <class In>
__global__ void __launch_bounds__(256)
    farthest_of_rows(Bags bags, Space<In> space, Farthest* farthest) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= bags.rows) return;
  const int lane = threadIdx.x % warp_size;
  const std::int64_t b = bag_of(bags, row);
  Farthest best = Farthest::none();
  if (b >= 0) {
    const Bag place = bag_at(bags, b);
    const In* bag = values_of(space, place);
    const std::int64_t i = row - place.first, d = space.d;
    if (space.metric == Metric::precomputed) {
      for (std::int64_t j = i + 1 + lane; j < place.size; j += warp_size) {
        const Farthest found = far<In>(double(bag[i * space.d + j]), row, place.first + j);
        if (found < best) best = found;
      }
      best = warp_min(best);
    } else {
      for (std::int64_t j = i + 1; j < place.size; ++j) {
        const double length = warp_length(bag + i * d, bag + j * d, d, space.metric);
        const Farthest found = far<In>(length, row, place.first + j);
        if (found < best) best = found;
      }
    }
  }
  if (lane == 0) farthest[row] = best;
}

__global__ void __launch_bounds__(256)
    farthest_of_bags(Bags bags, const Farthest* farthest, std::int64_t* pairs) {
  const Bag bag = bag_at(bags, blockIdx.x);
  Farthest best = Farthest::none();
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x)
    if (farthest[bag.first + v] < best) best = farthest[bag.first + v];
  Farthest* board = reinterpret_cast<Farthest*>(shared_memory());
  best = block_min(best, board, 0, blockDim.x / warp_size);
  if (threadIdx.x != 0) return;
  const bool any = best.key != Farthest::none().key;
  const std::int64_t named = bag.named - bag.first;
  std::int64_t* pair = pairs + 2 * std::int64_t(blockIdx.x);
  pair[0] = any ? named + Ends<Long>::smaller(best.code) : -1;
  pair[1] = any ? named + Ends<Long>::larger(best.code) : -1;
}

template <class In>
void run(const Space<In>& space, const Bags& bags, std::int64_t* pairs, Farthest* farthest,
         Stream stream) {
  launch(farthest_of_rows<In>, ceil_div(bags.rows * warp_size, 256), 256, 0, stream, bags, space,
         farthest);
  launch(farthest_of_bags, bags.count, 256, 2 * warp_size * sizeof(Farthest), stream, bags,
         farthest, pairs);
}

}  // namespace

std::size_t farthest_pairs_workspace(const Bags& bags) {
  return std::size_t(bags.rows) * sizeof(Farthest);
}

void farthest_pairs(const AnySpace& space, const Bags& bags, std::int64_t* pairs, void* workspace,
                    Stream stream) {
  check_rows(bags);
  Farthest* farthest = static_cast<Farthest*>(workspace);
  with_real(space.dtype,
            [&](auto real) { run(space.as<decltype(real)>(), bags, pairs, farthest, stream); });
}

}  // namespace torchtopo::cuda
