// Trees of points by dense Prim, a block per bag, all bags of a batch in one launch.
#include "plan.hpp"
#include "prim.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

template <class In, class Real, class Rule, int dim>
__global__ void __launch_bounds__(Registers<Real, dim>::threads)
    prim(Bags bags, Space<In> space, const Real* points, const int* distrusted, int places,
         std::int64_t* edges, In* weights) {
  const Bag place = bag_at(bags, blockIdx.x);
  const BlockTree<In> tree(shared_memory(), places);
  const int d = int(space.d);
  grow<Real, Rule, dim, Registers<Real, dim>::vertices>(points + place.first * d, place.size, d,
                                                        tree);
  finish<In, Real>(space, place, tree, distrusted && distrusted[blockIdx.x], edges, weights);
}

template <class In, class Real, class Rule, int dim>
void run(const Space<In>& space, const Real* points, const Bags& bags, const int* distrusted,
         std::int64_t* edges, In* weights, Stream stream) {
  const std::int64_t n = bags.n, places = BlockTree<In>::places(n);
  const int threads = fewest_threads(n, Registers<Real, dim>::vertices);
  const std::size_t growing = growing_bytes<Real>(n, dim, threads);
  const std::size_t end = BlockTree<In>::scratch_bytes(n);
  const std::size_t shared = BlockTree<In>::edge_bytes(places) + (end > growing ? end : growing);
  launch(prim<In, Real, Rule, dim>, bags.count, threads, shared, stream, bags, space, points,
         distrusted, int(places), edges, weights);
}

template <class In, class Real, class Rule>
void run(const Space<In>& space, const Real* points, const Bags& bags, const int* distrusted,
         std::int64_t* edges, In* weights, Stream stream) {
  if (space.d <= 8)
    return run<In, Real, Rule, 8>(space, points, bags, distrusted, edges, weights, stream);
  if (space.d <= 32)
    return run<In, Real, Rule, 32>(space, points, bags, distrusted, edges, weights, stream);
  if constexpr (sizeof(Real) == 4)
    return run<In, Real, Rule, 64>(space, points, bags, distrusted, edges, weights, stream);
}

}  // namespace

template <class In, class Real>
void prim_of_points(const Space<In>& space, const Space<Real>& compared, const Bags& bags,
                    const int* distrusted, std::int64_t* edges, In* weights, Stream stream) {
  with_rule<std::is_same_v<In, Real>, std::is_same_v<Real, double>>(space.metric, [&](auto rule) {
    run<In, Real, decltype(rule)>(space, compared.values, bags, distrusted, edges, weights, stream);
  });
}

template void prim_of_points(const Space<float>&, const Space<float>&, const Bags&, const int*,
                             std::int64_t*, float*, Stream);
template void prim_of_points(const Space<float>&, const Space<double>&, const Bags&, const int*,
                             std::int64_t*, float*, Stream);
template void prim_of_points(const Space<double>&, const Space<double>&, const Bags&, const int*,
                             std::int64_t*, double*, Stream);

}  // namespace torchtopo::cuda
