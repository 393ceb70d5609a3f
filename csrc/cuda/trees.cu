// Trees, stage by stage: by one block a bag, or by many and then in Kruskal's order.
#include "plan.hpp"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

// Enough blocks of a search without segments to fill a large GPU, and memory that does not grow
// with them.
int splits(const Bags& bags) {
  const std::int64_t wanted = 1024 / ceil_div(bags.rows, side);
  return int(wanted < 1 ? 1 : wanted > 16 ? 16 : wanted);
}

template <class Real>
Forest<Real> forest_in(Arena& arena, bool in_parts, const Bags& bags, int* distrusted) {
  Forest<Real> forest = {};
  forest.rows = int(bags.rows);
  forest.splits = in_parts ? splits(bags) : 1;
  forest.take(arena);
  forest.owner = arena.take<int>(bags.rows);
  forest.first = arena.take<int>(bags.count);
  forest.size = arena.take<int>(bags.count);
  forest.left = arena.take<int>(bags.count);
  forest.done = arena.take<int>(bags.count);
  forest.distrusted = distrusted ? distrusted : arena.take<int>(bags.count);
  return forest;
}

// Sizes the workspace if `run` is false.
template <class In, class Real>
void find_trees(const Space<In>& space, const Bags& bags, Plan plan, Arena& arena, bool run,
                std::int64_t* edges, In* weights, Stream stream) {
  Space<Real> compared = {nullptr, space.d, space.metric};
  int* distrusted = nullptr;
  if (space.metric == Metric::cosine) {
    double* unit = arena.take<double>(bags.rows * space.d);
    distrusted = arena.take<int>(bags.count);
    if (run) normalise(space, bags, unit, distrusted, stream);
    if constexpr (std::is_same_v<Real, double>) compared.values = unit;
  } else if constexpr (std::is_same_v<In, Real>) {
    compared.values = space.values;
  }
  if (plan == Plan::one_block) {
    if (!run) return;
    if (space.metric != Metric::precomputed)
      return prim_of_points(space, compared, bags, distrusted, edges, weights, stream);
    return boruvka_in_block(space, bags, edges, weights, stream);
  }
  const Segments<Real> segments = Segments<Real>::in(arena, space.metric, bags);
  const Forest<Real> forest = forest_in<Real>(arena, !segments.exist(), bags, distrusted);
  const Sorting<In> sorting = Sorting<In>::in(arena, space, bags);
  if (!run) return;
  boruvka(compared, bags, forest, segments, stream);
  kruskal_order(space, bags, forest, sorting, edges, weights, stream);
}

std::size_t find_trees(const AnySpace& space, const Bags& bags, Plan asked, void* workspace,
                       bool run, std::int64_t* edges, void* weights, Stream stream) {
  check_rows(bags);
  Arena arena(workspace);
  if (bags.count == 0 || bags.n < 2) return 0;
  const Plan plan = plan_of(space, bags, asked);
  if (space.dtype == 1)
    find_trees<double, double>(space.as<double>(), bags, plan, arena, run, edges,
                               static_cast<double*>(weights), stream);
  else if (space.metric == Metric::cosine)
    find_trees<float, double>(space.as<float>(), bags, plan, arena, run, edges,
                              static_cast<float*>(weights), stream);
  else
    find_trees<float, float>(space.as<float>(), bags, plan, arena, run, edges,
                             static_cast<float*>(weights), stream);
  return arena.used();
}

}  // namespace

std::size_t trees_workspace(const AnySpace& space, const Bags& bags, Plan plan) {
  return find_trees(space, bags, plan, nullptr, false, nullptr, nullptr, nullptr);
}

void trees(const AnySpace& space, const Bags& bags, Plan plan, std::int64_t* edges, void* weights,
           void* workspace, Stream stream) {
  find_trees(space, bags, plan, workspace, true, edges, weights, stream);
}

}  // namespace torchtopo::cuda
