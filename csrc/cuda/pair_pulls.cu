// The gradient of lengths of pairs: each pair pulls its two ends along the gradient of its length.
//
// Pulls at one point are added in the order of the pairs, never by atomic additions, so a gradient
// has the same bits in every run. For this the ends of a bag's pairs are sorted by the point that
// they name; then a warp per point walks through its own.
#include "length.cuh"

namespace torchtopo::cuda {
namespace {

// What a pair's gradient takes besides the coordinates of its ends.
struct Pull {
  double by, length, scale_x, scale_y;
};

constexpr std::uint64_t no_end = largest<std::uint64_t>;

// A point of the bag and the pair's end that names it: sorted, they list each point's pairs in
// order.
__device__ inline std::uint64_t end_code(std::int64_t point, std::int64_t end) {
  return std::uint64_t(point) << 32 | std::uint64_t(end);
}

// Everything but the coordinates, by a whole warp. A length that is returned as zero or infinity
// pulls nowhere.
template <class Real>
__device__ Pull pull_of(const Real* x, const Real* y, std::int64_t d, Metric metric, double by) {
  Pull pull = {by, warp_length(x, y, d, metric), 1, 1};
  if (pull.length == 0 || Real(pull.length) > largest<Real>) pull.by = 0;
  switch (metric) {
    case Metric::euclidean:
      // A subnormal length has no reciprocal; a power of two lifts it and the differences alike.
      pull.scale_y = pull.length < 1e-290 ? 0x1p600 : 1.0;
      pull.scale_x = by / (pull.length * pull.scale_y);
      break;
    case Metric::chebyshev:  // the coordinates that attain the maximum share the pull
      pull.scale_x = by / warp_fold(
                              d,
                              [=](std::int64_t k) {
                                return fabs(double(x[k]) - double(y[k])) == pull.length ? 1.0 : 0.0;
                              },
                              Plus());
      break;
    case Metric::cosine:
      pull.scale_x = warp_norm(d, [=](std::int64_t k) { return double(x[k]); });
      pull.scale_y = warp_norm(d, [=](std::int64_t k) { return double(y[k]); });
      if (pull.scale_x == 0 || pull.scale_y == 0) pull.by = 0;
      break;
    case Metric::manhattan:
    case Metric::precomputed:
      break;
  }
  return pull;
}

__device__ inline double sign(double t) { return t > 0 ? 1.0 : t < 0 ? -1.0 : t; }

// One coordinate of the pull at the end with coordinate `mine`; `first` says which end that is.
__device__ inline double coordinate(const Pull& pull, Metric metric, double mine, double other,
                                    bool first) {
  if (pull.length != pull.length) return pull.length;
  const double apart = mine - other;
  switch (metric) {
    case Metric::euclidean:
      return pull.scale_x * (apart * pull.scale_y);
    case Metric::manhattan:
      return pull.by * sign(apart);
    case Metric::chebyshev:
      return fabs(apart) < pull.length ? 0.0 : pull.scale_x * sign(apart);
    case Metric::cosine: {
      const double norm = first ? pull.scale_x : pull.scale_y;
      const double a = mine / norm, b = other / (first ? pull.scale_y : pull.scale_x);
      return pull.by * ((a - b) - pull.length * a) / norm;
    }
    case Metric::precomputed:
      break;
  }
  return 0;
}

// A warp per pair.
template <class Real>
__global__ void __launch_bounds__(256)
    measure_pulls(const Real* points, Metric metric, std::int64_t n, std::int64_t d,
                  const std::int64_t* pairs, std::int64_t m, std::int64_t count, const Real* by,
                  Pull* pulls, std::uint64_t* ends) {
  const std::int64_t pair = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (pair >= count) return;
  const std::int64_t first = pair / m * n, i = pairs[2 * pair], j = pairs[2 * pair + 1];
  const bool real = i >= 0 && i < n && j >= 0 && j < n;
  Pull pull = {};
  if (real) {
    // Measured from the smaller end, as the length is: its bits are the same either way.
    const std::int64_t u = i < j ? i : j, v = i < j ? j : i;
    pull = pull_of(points + (first + u) * d, points + (first + v) * d, d, metric, double(by[pair]));
  }
  if (threadIdx.x % warp_size != 0) return;
  const bool pulls_somewhere = real && (pull.by != 0 || pull.length != pull.length);
  pulls[pair] = pull;
  ends[2 * pair] = pulls_somewhere ? end_code(i, 2 * (pair % m)) : no_end;
  ends[2 * pair + 1] = pulls_somewhere ? end_code(j, 2 * (pair % m) + 1) : no_end;
}

// A block per bag of at most `block_ends` ends: a bitonic sort in shared memory.
constexpr int block_ends = 4096;

__global__ void __launch_bounds__(1024)
    sort_in_block(const std::uint64_t* ends, int count, int places, std::uint64_t* sorted) {
  std::uint64_t* code = reinterpret_cast<std::uint64_t*>(shared_memory());
  const std::int64_t first = std::int64_t(blockIdx.x) * count;
  for (int k = threadIdx.x; k < places; k += blockDim.x)
    code[k] = k < count ? ends[first + k] : no_end;
  for (int size = 2; size <= places; size *= 2)
    for (int stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (int low = threadIdx.x; low < places; low += blockDim.x) {
        const int high = low ^ stride;
        if (high < low) continue;
        const std::uint64_t a = code[low], b = code[high];
        if ((low & size) == 0 ? a <= b : b <= a) continue;
        code[low] = b, code[high] = a;
      }
    }
  __syncthreads();
  for (int k = threadIdx.x; k < count; k += blockDim.x) sorted[first + k] = code[k];
}

// How many codes of a sorted list are below one, or, `or_equal`, at most that.
__device__ inline std::int64_t rank(const std::uint64_t* list, std::int64_t size,
                                    std::uint64_t code, bool or_equal) {
  std::int64_t low = 0, high = size;
  while (low < high) {
    const std::int64_t probe = low + (high - low) / 2;
    if (list[probe] < code || (or_equal && list[probe] == code))
      low = probe + 1;
    else
      high = probe;
  }
  return low;
}

// Merges runs of the ends of each bag: an end's new place is its place in its own run plus its rank
// in the other, of equals the left run's first.
__global__ void __launch_bounds__(256)
    merge_ends(const std::uint64_t* ends, std::int64_t count, std::int64_t all, std::int64_t run,
               std::uint64_t* sorted) {
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= all) return;
  const std::int64_t mine = at % count, start = mine / (2 * run) * (2 * run);
  const std::uint64_t* left = ends + (at - mine) + start;
  const std::int64_t rest = count - start, in_left = run < rest ? run : rest;
  const std::int64_t in_right = (2 * run < rest ? 2 * run : rest) - in_left;
  const std::int64_t within = mine - start;
  const std::int64_t before = within < in_left
                                  ? within + rank(left + in_left, in_right, ends[at], false)
                                  : within - in_left + rank(left, in_left, ends[at], true);
  sorted[at - mine + start + before] = ends[at];
}

// A warp per point: lanes are coordinates.
template <class Real>
__global__ void __launch_bounds__(256)
    pull_points(const Real* points, Metric metric, std::int64_t n, std::int64_t d,
                const std::int64_t* pairs, std::int64_t m, std::int64_t rows, const Pull* pulls,
                const std::uint64_t* ends, Real* gradient) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= rows) return;
  const std::int64_t bag = row / n, point = row % n;
  ends += bag * 2 * m;
  const std::int64_t from = rank(ends, 2 * m, end_code(point, 0), false);
  const std::int64_t to = rank(ends, 2 * m, end_code(point + 1, 0), false);
  for (std::int64_t k = threadIdx.x % warp_size; k < d; k += warp_size) {
    Real sum = 0;
    for (std::int64_t e = from; e < to; ++e) {
      const std::int64_t end = std::int64_t(ends[e] & 0xffffffffu);
      const std::int64_t pair = bag * m + end / 2;
      const std::int64_t other = pairs[2 * pair + 1 - end % 2];
      sum += Real(coordinate(pulls[pair], metric, double(points[row * d + k]),
                             double(points[(bag * n + other) * d + k]), point < other));
    }
    gradient[row * d + k] = sum;
  }
}

struct Workspace {
  Pull* pulls;
  std::uint64_t* ends[2];

  Workspace(Arena& arena, std::int64_t count) : pulls(arena.take<Pull>(count)) {
    for (std::uint64_t*& e : ends) e = arena.take<std::uint64_t>(2 * count);
  }
};

template <class Real>
void run(const void* values, Metric metric, std::int64_t bags, std::int64_t n, std::int64_t d,
         const std::int64_t* pairs, std::int64_t m, const void* by, void* gradient,
         const Workspace& workspace, Stream stream) {
  const Real* points = static_cast<const Real*>(values);
  const std::int64_t count = bags * m, rows = bags * n;
  launch(measure_pulls<Real>, ceil_div(count * warp_size, 256), 256, 0, stream, points, metric, n,
         d, pairs, m, count, static_cast<const Real*>(by), workspace.pulls, workspace.ends[0]);
  int now = 0;
  if (2 * m <= block_ends) {
    int places = 2;
    while (places < 2 * m) places *= 2;
    launch(sort_in_block, m > 0 ? bags : 0,
           places < 64     ? 32
           : places < 2048 ? places / 2
                           : 1024,
           std::size_t(places) * sizeof(std::uint64_t), stream, workspace.ends[0], int(2 * m),
           places, workspace.ends[1]);
    now = 1;
  } else {
    for (std::int64_t size = 1; size < 2 * m; size *= 2, now = 1 - now)
      launch(merge_ends, ceil_div(2 * count, 256), 256, 0, stream, workspace.ends[now], 2 * m,
             2 * count, size, workspace.ends[1 - now]);
  }
  launch(pull_points<Real>, ceil_div(rows * warp_size, 256), 256, 0, stream, points, metric, n, d,
         pairs, m, rows, workspace.pulls, workspace.ends[now], static_cast<Real*>(gradient));
}

}  // namespace

std::size_t pair_pulls_workspace(std::int64_t bags, std::int64_t m) {
  Arena arena;
  const Workspace counted(arena, bags * m);
  return arena.used();
}

void pair_pulls(const void* points, int dtype, Metric metric, std::int64_t bags, std::int64_t n,
                std::int64_t d, const std::int64_t* pairs, std::int64_t m, const void* by,
                void* gradient, void* workspace, Stream stream) {
  if (n >= std::int64_t(1) << 31 || m >= std::int64_t(1) << 31)
    throw std::invalid_argument("a bag on CUDA has fewer than 2**31 points and pairs; split it");
  Arena arena(workspace);
  const Workspace divided(arena, bags * m);
  if (dtype == 1)
    run<double>(points, metric, bags, n, d, pairs, m, by, gradient, divided, stream);
  else
    run<float>(points, metric, bags, n, d, pairs, m, by, gradient, divided, stream);
}

}  // namespace torchtopo::cuda
