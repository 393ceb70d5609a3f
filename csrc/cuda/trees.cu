// Which kernels find the trees of a batch.
#include "trees.hpp"

#include <cmath>

#include "prim.cuh"

namespace torchtopo::cuda {
namespace {

// Which is faster? Both find the same edges, so it is a question of time only, here answered by a
// model in microseconds that assumes a large GPU: 0.3 for a step of Prim, 2.5 for a launch, three
// launches and 14e6 arithmetic operations a microsecond for a round of Boruvka, five rounds that
// work. Not yet compared with measurements (benchmarks/gpu.md).
bool one_block_is_faster(const Batch& batch) {
  const double n = double(batch.n), bags = double(batch.bags), rounds = std::log2(n + 1);
  const double waves = std::ceil(bags / 128);
  if (batch.is_matrix()) {  // reading a matrix at the speed of one multiprocessor, or of all
    const double one_block = 5 * n * n * 3.6e-5 * waves;
    return one_block <= 7.5 * rounds + 5 * bags * n * n * 1.6e-6;
  }
  const double operations = bags * n * n * (2 * double(batch.d) + 10);
  return 0.3 * n * waves <= 7.5 * rounds + 5 * operations / 14e6;
}

bool one_block(const Batch& batch, Path path) {
  const bool wide = batch.dtype == 1 || batch.metric == Metric::cosine;
  const int limit = batch.is_matrix() ? matrix_block_limit : one_block_limit(wide, batch.d);
  if (path == Path::one_block && batch.n > limit)
    throw std::invalid_argument("a block holds at most " + std::to_string(limit) +
                                " points of such bags, not " + std::to_string(batch.n));
  if (batch.n > limit || path == Path::many_blocks) return false;
  return path == Path::one_block || one_block_is_faster(batch);
}

// Enough blocks of the search to fill a large GPU, and memory that does not grow with them.
int splits(const Batch& batch) {
  const std::int64_t pieces =
      batch.is_matrix() ? batch.bags * ceil_div(batch.n, warp_size) / 8 : ceil_div(batch.rows, 64);
  const std::int64_t wanted = 1024 / (pieces > 0 ? pieces : 1);
  return int(wanted < 1 ? 1 : wanted > 16 ? 16 : wanted);
}

template <class Real>
Forest<Real> forest_in(Arena& arena, const Batch& batch, int* distrusted) {
  Forest<Real> forest = {};
  forest.rows = int(batch.rows);
  forest.splits = splits(batch);
  forest.take(arena);
  forest.owner = arena.take<int>(batch.rows);
  forest.size = arena.take<int>(batch.bags);
  forest.done = arena.take<int>(batch.bags);
  forest.distrusted = distrusted ? distrusted : arena.take<int>(batch.bags);
  return forest;
}

// Sizes the workspace if `run` is false.
template <class In, class Real>
void find_trees(const Batch& batch, Path path, Arena& arena, bool run, std::int64_t* edges,
                void* weights, Stream stream) {
  const Real* points = nullptr;
  int* distrusted = nullptr;
  if (batch.metric == Metric::cosine) {
    double* unit = arena.take<double>(batch.rows * batch.d);
    distrusted = arena.take<int>(batch.bags);
    if (run) normalise<In>(batch, unit, distrusted, stream);
    if constexpr (std::is_same_v<Real, double>) points = unit;
  } else if constexpr (std::is_same_v<In, Real>) {
    points = static_cast<const Real*>(batch.data);
  }
  if (one_block(batch, path)) {
    if (!run) return;
    if (!batch.is_matrix())
      return prim_of_points<In, Real>(batch, points, distrusted, edges, weights, stream);
    if constexpr (std::is_same_v<In, Real>)
      return boruvka_in_block<In>(batch, edges, weights, stream);
  }
  const Forest<Real> forest = forest_in<Real>(arena, batch, distrusted);
  const Sorting<In> sorting = Sorting<In>::in(arena, batch);
  if (!run) return;
  boruvka<In, Real>(batch, points, forest, stream);
  kruskal_order<In, Real>(batch, forest, sorting, edges, weights, stream);
}

std::size_t find_trees(const Batch& batch, Path path, void* workspace, bool run,
                       std::int64_t* edges, void* weights, Stream stream) {
  check_rows(batch);
  Arena arena(workspace);
  if (batch.bags == 0 || batch.n < 2) return 0;
  if (batch.dtype == 1)
    find_trees<double, double>(batch, path, arena, run, edges, weights, stream);
  else if (batch.metric == Metric::cosine)
    find_trees<float, double>(batch, path, arena, run, edges, weights, stream);
  else
    find_trees<float, float>(batch, path, arena, run, edges, weights, stream);
  return arena.used();
}

}  // namespace

std::size_t trees_workspace(const Batch& batch, Path path) {
  return find_trees(batch, path, nullptr, false, nullptr, nullptr, nullptr);
}

void trees(const Batch& batch, Path path, std::int64_t* edges, void* weights, void* workspace,
           Stream stream) {
  find_trees(batch, path, workspace, true, edges, weights, stream);
}

}  // namespace torchtopo::cuda
