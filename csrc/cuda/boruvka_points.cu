// Boruvka's search among points whose segments would take too much memory: everything is measured
// anew in every round. A block has 64 rows and a part of the columns of their bags.
#include "stages.cuh"
#include "tiles.cuh"

namespace torchtopo::cuda {
namespace {

template <class Real, class Rule>
__global__ void __launch_bounds__(tile_threads, sizeof(Real) == 4 ? 3 : 0)
    nearest_among_points(Forest<Real> forest, Points<Real, Rule> points) {
  using Chosen = Choice<Key<Real>, int>;
  int* range = reinterpret_cast<int*>(shared_memory() + points.shared_bytes);  // of the bags here
  const int top = int(blockIdx.x / forest.splits) * side;
  const int split = blockIdx.x % forest.splits;

  if (threadIdx.x < 2) range[threadIdx.x] = threadIdx.x == 0 ? forest.rows : 0;
  __syncthreads();
  if (threadIdx.x < side && top + threadIdx.x < forest.rows) {
    const int b = forest.owner[top + threadIdx.x];
    if (b != nobody && !forest.done[b]) {
      const int first = forest.first[b];
      atomicMin(&range[0], first);
      atomicMax(&range[1], first + forest.size[b]);
    }
  }
  __syncthreads();
  if (range[0] >= range[1]) return;  // every bag here is done

  const int across = threadIdx.x % 16, down = threadIdx.x / 16;
  int owner[micro], component[micro];
  Chosen best[micro];
  for (int i = 0; i < micro; ++i) {
    const int row = top + down * micro + i;
    const bool real = row < forest.rows;
    owner[i] = real ? forest.owner[row] : nobody;
    component[i] = real ? forest.component[row] : nobody;
    best[i] = Chosen::none();
  }
  const int tiles = int(ceil_div(range[1] - range[0], side));
  const int from = int(std::int64_t(tiles) * split / forest.splits);
  const int to = int(std::int64_t(tiles) * (split + 1) / forest.splits);
  for (int t = from; t < to; ++t) {
    const int left = range[0] + t * side;
    Key<Real> key[micro][micro];
    points.keys(top, left, key);
#pragma unroll
    for (int j = 0; j < micro; ++j) {
      const int column = left + points.column(across, j);
      if (column >= range[1]) continue;
      const int bag = forest.owner[column], other = forest.component[column];
#pragma unroll
      for (int i = 0; i < micro; ++i) {
        const bool better = (bag == owner[i]) & (other != component[i]) & (key[i][j] < best[i].key);
        best[i].key = better ? key[i][j] : best[i].key;
        best[i].code = better ? column : best[i].code;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < micro; ++i) {
    for (int step = 8; step > 0; step /= 2)  // among the 16 threads that share the row
      best[i] = least(best[i], across_warp(best[i], step));
    const int row = top + down * micro + i;
    if (across != 0 || row >= forest.rows) continue;
    const std::int64_t at = std::int64_t(split) * forest.rows + row;
    forest.nearest_key[at] = best[i].key;
    forest.nearest[at] = best[i].key == absent<Real> ? nobody : best[i].code;
  }
}

}  // namespace

template <class Real>
void nearest_of_points(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                       Stream stream) {
  with_rule<true, std::is_same_v<Real, double>>(compared.metric, [&](auto rule) {
    using Rule = decltype(rule);
    launch(nearest_among_points<Real, Rule>, ceil_div(bags.rows, side) * forest.splits,
           tile_threads, Points<Real, Rule>::shared_bytes + 2 * sizeof(int), stream, forest,
           Points<Real, Rule>{compared.values, bags.rows, compared.d});
  });
}

template void nearest_of_points(const Space<float>&, const Bags&, const Forest<float>&, Stream);
template void nearest_of_points(const Space<double>&, const Bags&, const Forest<double>&, Stream);

}  // namespace torchtopo::cuda
