// Boruvka's search among points: tiles of direct differences, held in registers, never stored.
//
// A block has 64 rows and a part of the columns of their bags. It measures 64 x 64 distances at a
// time, 4 x 4 to a thread, staging 32 coordinates of both sides in shared memory.
#include "length.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

constexpr int side = 64, pitch = side + 4, threads = 256, micro = 4;

template <class Real>
struct Four {
  Real x[micro];

  __device__ explicit Four(const Real* from) {
#pragma unroll
    for (int l = 0; l < micro; l += Quad<Real>::width) {
      const Quad<Real> quad = *reinterpret_cast<const Quad<Real>*>(from + l);
#pragma unroll
      for (int k = 0; k < Quad<Real>::width; ++k) x[l + k] = quad.x[k];
    }
  }
};

// Coordinates of 64 rows, transposed: 8 lanes read neighbouring coordinates, 4 neighbouring rows.
template <class Real>
__device__ void stage(const Real* points, std::int64_t first, std::int64_t rows, std::int64_t d,
                      std::int64_t begin, Real (*tile)[pitch]) {
  const unsigned t = threadIdx.x;
  const int k = t % 8 + (t / 32 % 4) * 8, row0 = t / 8 % 4 + t / 128 * 4;
  constexpr int steps = side * chunk / threads, stride = threads / 128 * 4;  // rows apart
  const bool inside = begin + k < d;
  const Real* from = points + (first + row0) * d + begin + k;
  Real value[steps];
#pragma unroll
  for (int i = 0; i < steps; ++i) {
    value[i] =
        inside && first + row0 + i * stride < rows ? from[std::int64_t(i * stride) * d] : Real(0);
  }
#pragma unroll
  for (int i = 0; i < steps; ++i) tile[k][row0 + i * stride] = value[i];
}

template <class Real, class Rule>
__global__ void __launch_bounds__(threads)
    nearest_among_points(Bags bags, Forest<Real> forest, const Real* points, std::int64_t d) {
  using Chosen = Choice<Key<Real>, int>;
  Real(*rows)[pitch] = reinterpret_cast<Real(*)[pitch]>(shared_memory());
  Real(*columns)[pitch] = rows + chunk;
  int* range = reinterpret_cast<int*>(columns + chunk);  // first and last row of the bags here
  const std::int64_t top = std::int64_t(blockIdx.x / forest.splits) * side;
  const int split = blockIdx.x % forest.splits;

  if (threadIdx.x < 2) range[threadIdx.x] = threadIdx.x == 0 ? forest.rows : 0;
  __syncthreads();
  if (threadIdx.x < side && top + threadIdx.x < forest.rows) {
    const int b = forest.owner[top + threadIdx.x];
    if (b != nobody && !forest.done[b]) {
      const int first = int(bag_at(bags, b).first);
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
    const std::int64_t row = top + down * micro + i;
    const bool real = row < forest.rows;
    owner[i] = real ? forest.owner[row] : nobody;
    component[i] = real ? forest.component[row] : nobody;
    best[i] = Chosen::none();
  }
  const int tiles = int(ceil_div(range[1] - range[0], side));
  const int from = int(std::int64_t(tiles) * split / forest.splits);
  const int to = int(std::int64_t(tiles) * (split + 1) / forest.splits);
  for (int t = from; t < to; ++t) {
    const std::int64_t left = range[0] + std::int64_t(t) * side;
    Real length[micro][micro] = {};
    for (std::int64_t begin = 0; begin < d; begin += chunk) {
      __syncthreads();
      stage(points, top, forest.rows, d, begin, rows);
      stage(points, left, forest.rows, d, begin, columns);
      __syncthreads();
      Real part[micro][micro] = {};
      const int depth = int(d - begin < chunk ? d - begin : chunk);
      for (int k = 0; k < depth; ++k) {
        const Four<Real> a(&rows[k][down * micro]), b(&columns[k][across * micro]);
#pragma unroll
        for (int i = 0; i < micro; ++i)
#pragma unroll
          for (int j = 0; j < micro; ++j) part[i][j] = Rule::add(part[i][j], a.x[i] - b.x[j]);
      }
#pragma unroll
      for (int i = 0; i < micro; ++i)
#pragma unroll
        for (int j = 0; j < micro; ++j) length[i][j] = Rule::join(length[i][j], part[i][j]);
    }
#pragma unroll
    for (int j = 0; j < micro; ++j) {
      const std::int64_t column = left + across * micro + j;
      if (column >= range[1]) continue;
      const int bag = forest.owner[column], other = forest.component[column];
#pragma unroll
      for (int i = 0; i < micro; ++i) {
        const Key<Real> key = length_key(Rule::finish(length[i][j]));
        const bool better = (bag == owner[i]) & (other != component[i]) & (key < best[i].key);
        best[i].key = better ? key : best[i].key;
        best[i].code = better ? int(column) : best[i].code;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < micro; ++i) {
    for (int step = 8; step > 0; step /= 2) {  // among the 16 threads that share the row
      const Chosen other = {__shfl_xor_sync(whole_warp, best[i].key, step),
                            __shfl_xor_sync(whole_warp, best[i].code, step)};
      if (other < best[i]) best[i] = other;
    }
    const std::int64_t row = top + down * micro + i;
    if (across != 0 || row >= forest.rows) continue;
    const std::int64_t at = std::int64_t(split) * forest.rows + row;
    forest.nearest_key[at] = best[i].key;
    forest.nearest[at] = best[i].key == absent<Real> ? nobody : best[i].code;
  }
}

template <class Real, class Rule>
void run(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest, Stream stream) {
  const std::size_t shared = 2 * chunk * pitch * sizeof(Real) + 2 * sizeof(int);
  launch(nearest_among_points<Real, Rule>, ceil_div(bags.rows, side) * forest.splits, threads,
         shared, stream, bags, forest, compared.values, compared.d);
}

}  // namespace

template <class Real>
void nearest_of_points(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                       Stream stream) {
  with_rule<true, std::is_same_v<Real, double>>(compared.metric, [&](auto rule) {
    run<Real, decltype(rule)>(compared, bags, forest, stream);
  });
}

template void nearest_of_points(const Space<float>&, const Bags&, const Forest<float>&, Stream);
template void nearest_of_points(const Space<double>&, const Bags&, const Forest<double>&, Stream);

}  // namespace torchtopo::cuda
