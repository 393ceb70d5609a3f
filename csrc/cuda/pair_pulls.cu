// The gradient of lengths of pairs: each pair pulls its two ends along the gradient of its length.
//
// Pulls at one point are added in the order of the pairs, never by atomic additions, so a gradient
// has the same bits in every run. For this the ends of a bag's pairs are sorted by the point that
// they name; then a warp per point walks through its own.
#include "pulls.cuh"
#include "sort.cuh"

namespace torchtopo::cuda {
namespace {

constexpr std::uint64_t no_end = largest<std::uint64_t>;

// A point of the bag and the pair's end that names it: sorted, they list each point's pairs in
// order.
__device__ inline std::uint64_t end_code(std::int64_t point, std::int64_t end) {
  return std::uint64_t(point) << 32 | std::uint64_t(end);
}

// The pairs of each bag and further ones, as one list.
template <class Real>
struct Pulled {
  Pulling pairs, further;
  const Real* weights;

  __host__ __device__ std::int64_t each() const { return pairs.m + further.m; }
  __device__ const std::int64_t* ends(std::int64_t bag, std::int64_t k) const {
    return k < pairs.m ? pairs.pairs + 2 * (bag * pairs.m + k)
                       : further.pairs + 2 * (bag * further.m + k - pairs.m);
  }
  __device__ double by(std::int64_t bag, std::int64_t k) const {
    return k < pairs.m ? static_cast<const Real*>(pairs.by)[bag * pairs.m + k]
                       : static_cast<const Real*>(further.by)[bag * further.m + k - pairs.m];
  }
};

// A warp per pair.
template <class Real>
__global__ void __launch_bounds__(256, 2)  // registers for all loads of a pair at once
    measure_pulls(Space<Real> space, std::int64_t n, Pulled<Real> pulled, std::int64_t count,
                  Pull* pulls, std::uint64_t* ends) {
  const std::int64_t pair = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (pair >= count) return;
  const std::int64_t bag = pair / pulled.each(), k = pair % pulled.each(), first = bag * n;
  const std::int64_t i = pulled.ends(bag, k)[0], j = pulled.ends(bag, k)[1];
  const std::int64_t d = space.d;
  const bool real = i >= 0 && i < n && j >= 0 && j < n;
  Pull pull = {};
  if (real) {
    // Measured from the smaller end, as the length is: its bits are the same either way.
    const std::int64_t u = i < j ? i : j, v = i < j ? j : i;
    const Real *x = space.values + (first + u) * d, *y = space.values + (first + v) * d;
    pull = pull_of(x, y, d, space.metric, pulled.by(bag, k), warp_length(x, y, d, space.metric));
  }
  if (threadIdx.x % warp_size != 0) return;
  const bool pulling = real && pulls_somewhere(pull);
  pulls[pair] = pull;
  ends[2 * pair] = pulling ? end_code(i, 2 * k) : no_end;
  ends[2 * pair + 1] = pulling ? end_code(j, 2 * k + 1) : no_end;
}

struct Codes {
  std::uint64_t* code;

  __device__ std::uint64_t operator[](std::int64_t k) const { return code[k]; }
  __device__ void put(std::int64_t k, std::uint64_t value) const { code[k] = value; }
};

// A block per bag of at most `block_ends` ends.
constexpr int block_ends = 4096;

__global__ void __launch_bounds__(1024)
    sort_in_block(const std::uint64_t* ends, int count, int places, std::uint64_t* sorted) {
  const Codes codes = {reinterpret_cast<std::uint64_t*>(shared_memory())};
  const std::int64_t first = std::int64_t(blockIdx.x) * count;
  for (int k = threadIdx.x; k < places; k += blockDim.x)
    codes.put(k, k < count ? ends[first + k] : no_end);
  block_sort(codes, places);
  for (int k = threadIdx.x; k < count; k += blockDim.x) sorted[first + k] = codes[k];
}

__global__ void __launch_bounds__(256)
    merge_ends(Codes ends, std::int64_t count, std::int64_t all, std::int64_t run, Codes sorted) {
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= all) return;
  const std::int64_t mine = at % count;
  sorted.put(merged_place(ends, at - mine, count, run, mine), ends[at]);
}

// A warp per point: lanes are coordinates.
template <class Real>
__global__ void __launch_bounds__(256)
    pull_points(Space<Real> space, std::int64_t n, Pulled<Real> pulled, std::int64_t rows,
                const Pull* pulls, const std::uint64_t* ends, Real* gradient) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= rows) return;
  const std::int64_t bag = row / n, point = row % n, d = space.d, m = pulled.each();
  const Real* points = space.values;
  ends += bag * 2 * m;
  const std::int64_t from = rank(ends, 0, 2 * m, end_code(point, 0), false);
  const std::int64_t to = rank(ends, 0, 2 * m, end_code(point + 1, 0), false);
  for (std::int64_t k = threadIdx.x % warp_size; k < d; k += warp_size) {
    Real sum = 0;
    for (std::int64_t e = from; e < to; ++e) {
      const std::int64_t end = std::int64_t(ends[e] & 0xffffffffu);
      const std::int64_t other = pulled.ends(bag, end / 2)[1 - end % 2];
      sum += Real(coordinate(pulls[bag * m + end / 2], space.metric, double(points[row * d + k]),
                             double(points[(bag * n + other) * d + k]), point < other));
    }
    gradient[row * d + k] = pulled.weights ? pulled.weights[bag] * sum : sum;
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
void run(const Space<Real>& space, const Bags& bags, const Pulled<Real>& pulled, void* gradient,
         const Workspace& workspace, Stream stream) {
  const std::int64_t n = bags.n, m = pulled.each(), count = bags.count * m, rows = bags.rows;
  launch(measure_pulls<Real>, ceil_div(count * warp_size, 256), 256, 0, stream, space, n, pulled,
         count, workspace.pulls, workspace.ends[0]);
  int now = 0;
  if (2 * m <= block_ends) {
    const int places = int(power_of_two_above(2 * m));
    const int threads = places < 64 ? 32 : places < 2048 ? places / 2 : 1024;
    launch(sort_in_block, m > 0 ? bags.count : 0, threads,
           std::size_t(places) * sizeof(std::uint64_t), stream, workspace.ends[0], int(2 * m),
           places, workspace.ends[1]);
    now = 1;
  } else {
    for (std::int64_t size = 1; size < 2 * m; size *= 2, now = 1 - now)
      launch(merge_ends, ceil_div(2 * count, 256), 256, 0, stream, Codes{workspace.ends[now]},
             2 * m, 2 * count, size, Codes{workspace.ends[1 - now]});
  }
  launch(pull_points<Real>, ceil_div(rows * warp_size, 256), 256, 0, stream, space, n, pulled, rows,
         workspace.pulls, workspace.ends[now], static_cast<Real*>(gradient));
}

}  // namespace

std::size_t pair_pulls_workspace(const Bags& bags, std::int64_t m) {
  Arena arena;
  const Workspace counted(arena, bags.count * m);
  return arena.used();
}

void pair_pulls(const AnySpace& space, const Bags& bags, const Pulling& pairs,
                const Pulling& further, const void* weights, void* gradient, void* workspace,
                Stream stream) {
  const std::int64_t m = pairs.m + further.m;
  if (bags.n >= std::int64_t(1) << 31 || m >= std::int64_t(1) << 31)
    throw std::invalid_argument("a bag on CUDA has fewer than 2**31 points and pairs; split it");
  Arena arena(workspace);
  const Workspace divided(arena, bags.count * m);
  with_real(space.dtype, [&](auto real) {
    using Real = decltype(real);
    run(space.as<Real>(), bags, Pulled<Real>{pairs, further, static_cast<const Real*>(weights)},
        gradient, divided, stream);
  });
}

}  // namespace torchtopo::cuda
