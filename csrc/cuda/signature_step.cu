// A step of training with the signature loss in one launch, a block a bag: the tree of z, the
// lengths of its pairs and of those known of x in both spaces, the loss, its slopes, and how these
// pull at the points.
//
// What it finds has the bits of what several launches find: it measures, compares, and pulls by the
// same functions (length.cuh, compare.cuh, pulls.cuh) and adds in the same order. Between the steps
// pairs, lengths and each point's ends stay in shared memory; only a pair's pull, four numbers,
// lies in global memory, where the block alone reads it.
#include "compare.cuh"
#include "plan.hpp"
#include "prim.cuh"
#include "pulls.cuh"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

// Two numbers of a bag in one word: the points of a pair, a point and an end, a pair and a point.
using Word = std::uint32_t;
constexpr Word nothing = largest<Word>;

__device__ inline Word word(std::int64_t first, std::int64_t second) {
  return Word(first) << 16 | Word(second);
}
__device__ inline int first_of(Word is) { return int(is >> 16); }
__device__ inline int second_of(Word is) { return int(is & 0xffff); }

template <class Real>
__device__ inline const Real* row_of(const Real* bag, int point, int d) {
  return bag + std::int64_t(point) * d;
}

struct Words {
  Word* of;

  __device__ Word operator[](std::int64_t k) const { return of[k]; }
  __device__ void put(std::int64_t k, Word value) const { of[k] = value; }
};

// What the block knows of its bag once its tree is found. Ends take the place of the tree.
struct Kept {
  Words ends;     // of all pairs, sorted by the point that they name; those of none last
  Word* pairs;    // those of x and then those of z
  double *a, *b;  // their lengths in x and in z
  int* begins;    // of each point the first end, and where the last point's end
  double* board;
  int places;
  std::size_t bytes;

  // Of n points, whose tree has so many places: as many for each end of an edge of x and of z.
  __host__ __device__ Kept(unsigned char* memory, int n, int tree_places)
      : places(4 * tree_places) {
    Arena arena(memory);
    ends = {arena.take<Word>(places)};
    pairs = arena.take<Word>(2 * (n - 1));
    a = arena.take<double>(2 * (n - 1));
    b = arena.take<double>(2 * (n - 1));
    begins = arena.take<int>(n + 1);
    board = arena.take<double>(warp_size);
    bytes = arena.used();
  }
};

// Fills `pairs`. One that names no two points of the bag is none.
template <class Z>
__device__ void list_pairs(const Step& step, const Bag& place, const BlockTree<Z>& tree,
                           const Kept& kept) {
  const std::int64_t n = step.bags.n, half = n - 1;
  const std::int64_t* given = step.pairs_x + 2 * half * blockIdx.x;
  for (int k = threadIdx.x; k < half; k += blockDim.x) {
    const std::int64_t i = given[2 * k], j = given[2 * k + 1];
    const bool real = i >= 0 && i < n && j >= 0 && j < n;
    kept.pairs[k] = real ? word(i, j) : nothing;
    const Short code = tree.codes[k];
    kept.pairs[half + k] =
        k < place.size - 1 ? word(Ends<Short>::smaller(code), Ends<Short>::larger(code)) : nothing;
  }
  __syncthreads();
}

// The lengths of four pairs by a warp; a lane gets that of pair `folded_by(lane)`.
template <class Real>
__device__ __noinline__ double lengths_of_four(const Real* bag, int d, Metric metric,
                                               const Word* pairs, int most) {
  constexpr int many = measured_at_once;
  const auto pointed = [&](int e) {
    const Word is = pairs[e < most ? e : most - 1], pair = is == nothing ? 0 : is;
    const int i = first_of(pair), j = second_of(pair);
    return Pointed<Real>{row_of(bag, i < j ? i : j, d), row_of(bag, i < j ? j : i, d)};
  };
  const int mine = folded_by<many>(threadIdx.x % warp_size);
  const bool none = mine >= most || pairs[mine] == nothing;
  if (warp_min(int(none)) != 0) return 0;
  double length;
  if (metric == Metric::precomputed) {
    const Pointed<Real> row = pointed(mine);
    length = double(row.x[(row.y - bag) / d]);
  } else {
    length = warp_lengths<many, 2>(pointed, d, metric);
  }
  return none ? 0 : length;
}

// Fills `a` and `b`, and what is returned of pairs and lengths.
template <class X, class Z>
__device__ void measure_pairs(const Step& step, const Bag& place, const Kept& kept) {
  constexpr int many = measured_at_once;
  const Space<X> x = step.x.space.as<X>();
  const Space<Z> z = step.z.space.as<Z>();
  const X* in_x = values_of(x, place);
  const Z* in_z = values_of(z, place);
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int warps = blockDim.x / warp_size, count = 2 * (int(step.bags.n) - 1);
  const std::int64_t first = std::int64_t(blockIdx.x) * count;
  for (int begin = warp * many; begin < count; begin += warps * many) {
    const double a = lengths_of_four(in_x, int(x.d), x.metric, kept.pairs + begin, count - begin);
    const double b = lengths_of_four(in_z, int(z.d), z.metric, kept.pairs + begin, count - begin);
    const int k = begin + folded_by<many>(lane);
    if (k >= count || lane % (warp_size / many) != 0) continue;
    const bool apart = one_is_infinite(double(X(a)), double(Z(b)));
    const Word pair = apart ? nothing : kept.pairs[k];
    kept.pairs[k] = pair;
    kept.a[k] = apart ? 0 : a;
    kept.b[k] = apart ? 0 : b;
    step.pairs[2 * (first + k)] = pair == nothing ? -1 : first_of(pair);
    step.pairs[2 * (first + k) + 1] = pair == nothing ? -1 : second_of(pair);
    static_cast<X*>(step.x.lengths)[first + k] = X(kept.a[k]);
    static_cast<Z*>(step.z.lengths)[first + k] = Z(kept.b[k]);
  }
  __syncthreads();
}

// Fills `begins` and `ends`: for each point its pairs, in order, and their other points.
__device__ __noinline__ void sort_ends(int n, int tree_places) {
  const Kept kept(shared_memory(), n, tree_places);
  for (int end = threadIdx.x; end < kept.places; end += blockDim.x) {
    const Word pair = end < 4 * (n - 1) ? kept.pairs[end / 2] : nothing;
    const int point = end % 2 == 0 ? first_of(pair) : second_of(pair);
    kept.ends.put(end, pair == nothing ? nothing : word(point, end));
  }
  block_sort(kept.ends, kept.places);
  for (int point = threadIdx.x; point <= n; point += blockDim.x)
    kept.begins[point] = int(rank(kept.ends, 0, kept.places, word(point, 0), false));
  __syncthreads();
  for (int k = threadIdx.x; k < kept.begins[n]; k += blockDim.x) {
    const int end = second_of(kept.ends[k]);
    const Word pair = kept.pairs[end / 2];
    kept.ends.put(k, word(end / 2, end % 2 == 0 ? second_of(pair) : first_of(pair)));
  }
  __syncthreads();
}

// Adds up at each point, two coordinates by a thread; loads of four pairs are under way together.
template <class Real, class Named>
__device__ void pull_points(Named metric, const Real* bag, int n, int d, const Kept& kept,
                            const Pull* pulls, Real* gradient) {
  constexpr int many = 4, columns = 2;
  const int each = (d + 1) / columns;
  int point = threadIdx.x / each, column = threadIdx.x % each;
  const int points = blockDim.x / each, rest = blockDim.x % each;
  while (point < n) {
    const int k = columns * column, last = k + 1 < d ? k + 1 : k;
    const Real* own = row_of(bag, point, d);
    const double mine[columns] = {double(own[k]), double(own[last])};
    const int from = kept.begins[point], to = kept.begins[point + 1];
    Real sum[columns] = {0, 0};
#pragma unroll 1
    for (int begin = from; begin < to; begin += many) {
      int other[many];
      Pull by[many];
      double theirs[many][columns];
#pragma unroll
      for (int e = 0; e < many; ++e) {
        const Word is = kept.ends[begin + e < to ? begin + e : to - 1];
        other[e] = second_of(is);
        by[e] = pulls[first_of(is)];
        const Real* row = row_of(bag, other[e], d);
        theirs[e][0] = double(row[k]);
        theirs[e][1] = double(row[last]);
      }
#pragma unroll
      for (int e = 0; e < many; ++e)
        if (begin + e < to && pulls_somewhere(by[e]))
          for (int c = 0; c < columns; ++c)
            sum[c] += Real(coordinate(by[e], metric, mine[c], theirs[e][c], point < other[e]));
    }
    Real* out = gradient + std::int64_t(point) * d;
    out[k] = sum[0];
    if (last != k) out[last] = sum[1];
    point += points;
    column += rest;
    if (column < each) continue;
    column -= each;
    ++point;
  }
}

// The gradient of the points of one space, whose pairs pull by `pulls[k].by`.
template <class Real>
__device__ __noinline__ void pull(Space<Real> space, const Real* bag, bool of_x, int n,
                                  int tree_places, Pull* pulls, Real* gradient) {
  const Kept kept(shared_memory(), n, tree_places);
  const double* lengths = of_x ? kept.a : kept.b;
  const int lane = threadIdx.x % warp_size, d = int(space.d);
  const bool together = visit(space.metric, [](auto named) { return pulled_by_warp(named); });
  const int apart = together ? warp_size : 1;  // threads for a pair
  for (int k = threadIdx.x / apart; k < 2 * (n - 1); k += blockDim.x / apart) {
    const Word pair = kept.pairs[k];
    if (pair == nothing) continue;
    const int i = first_of(pair), j = second_of(pair);
    const Pull by = pull_of(row_of(bag, i < j ? i : j, d), row_of(bag, i < j ? j : i, d), d,
                            space.metric, pulls[k].by, lengths[k]);
    if (together) __syncwarp();  // all have read what one overwrites
    if (!together || lane == 0) pulls[k] = by;
  }
  __syncthreads();
  visit(space.metric, [&](auto named) { pull_points(named, bag, n, d, kept, pulls, gradient); });
  __syncthreads();  // the other space's pulls take the place of these
}

// All that comes after the tree of z.
template <class X, class Z>
__device__ __noinline__ void compare(const Step& step, const Bag& place, const BlockTree<Z>& tree,
                                     int places, Pull* pulls) {
  const std::int64_t bag = blockIdx.x;
  const int n = int(step.bags.n), half = n - 1;
  const Kept kept(shared_memory(), n, places);
  list_pairs(step, place, tree, kept);
  measure_pairs<X, Z>(step, place, kept);
  using OfX = Lengths<X, double>;
  using OfZ = Lengths<Z, double>;
  const BagLoss<OfX, OfZ> of(OfX{kept.a, step.x.by.of(bag)}, OfZ{kept.b, step.z.by.of(bag)}, half,
                             step.shares, bag, kept.board);
  if (threadIdx.x == 0) static_cast<Wider<X, Z>*>(step.losses)[bag] = Wider<X, Z>(of.loss);
  if (step.x.slope_of_divisor) {
    const double slope = of.slope_of_divisor_x(kept.board);
    if (threadIdx.x == 0) static_cast<X*>(step.x.slope_of_divisor)[bag] = X(slope);
  }
  if (step.z.slope_of_divisor) {
    const double slope = of.slope_of_divisor_z(kept.board);
    if (threadIdx.x == 0) static_cast<Z*>(step.z.slope_of_divisor)[bag] = Z(slope);
  }
  if (!step.x.gradient && !step.z.gradient) return;
  sort_ends(n, places);
  pulls += bag * 2 * half;
  if (step.z.gradient) {
    for (int k = threadIdx.x; k < 2 * half; k += blockDim.x) pulls[k].by = Z(of.slope_z(k));
    __syncthreads();
    const Space<Z> z = step.z.space.as<Z>();
    pull(z, values_of(z, place), false, n, places, pulls,
         static_cast<Z*>(step.z.gradient) + place.first * z.d);
  }
  if (step.x.gradient) {
    for (int k = threadIdx.x; k < 2 * half; k += blockDim.x) pulls[k].by = X(of.slope_x(k));
    __syncthreads();
    const Space<X> x = step.x.space.as<X>();
    pull(x, values_of(x, place), true, n, places, pulls,
         static_cast<X*>(step.x.gradient) + place.first * x.d);
  }
}

// Not inlined: every metric and dimension has its code in one kernel, at the same registers.
template <class Real, class Rule, int dim, class Z>
__device__ __noinline__ void grow_apart(const Real* points, int n, int d, BlockTree<Z> tree) {
  grow<Real, Rule, dim, StepRegisters<Real, dim>::vertices>(points, n, d, tree);
}

template <class Real, class Z>
__device__ __noinline__ void put_in_order_apart(const Space<Z>& z, const Bag& place,
                                                BlockTree<Z> tree, bool distrusted) {
  put_in_order<Z, Real>(z, place, tree, distrusted);
}

// The tree of a bag, found among its points or its unit vectors.
template <class Rule, class Real, class Z>
__device__ void find_tree(const Space<Z>& z, const Real* points, const Bag& place,
                          const BlockTree<Z>& tree, bool distrusted) {
  const int n = place.size, d = int(z.d);
  points += place.first * d;
  if (d <= 8)
    grow_apart<Real, Rule, 8>(points, n, d, tree);
  else if (d <= 32)
    grow_apart<Real, Rule, 32>(points, n, d, tree);
  else if constexpr (sizeof(Real) == 4)
    grow_apart<Real, Rule, 64>(points, n, d, tree);
  put_in_order_apart<Real>(z, place, tree, distrusted);
}

template <class Z>
__global__ void __launch_bounds__(step_block)
    signature_step(const __grid_constant__ Step step, const double* units, const int* distrusted,
                   int places, Pull* pulls) {
  const Bag place = bag_at(step.bags, blockIdx.x);
  const BlockTree<Z> tree(shared_memory(), places);
  const Space<Z> z = step.z.space.as<Z>();
  visit(z.metric, [&](auto named) {
    using Rule = decltype(rule_of(named));
    if constexpr (named == Metric::cosine)
      find_tree<Rule>(z, units, place, tree, distrusted[blockIdx.x]);
    else if constexpr (named != Metric::precomputed)
      find_tree<Rule>(z, z.values, place, tree, false);
  });
  if (step.x.space.dtype == 0)
    compare<float>(step, place, tree, places, pulls);
  else
    compare<double>(step, place, tree, places, pulls);
}

// Sizes the workspace if there is no step.
std::size_t step_or_size(const AnySpace& space, const Bags& bags, const Step* step, void* workspace,
                         Stream stream) {
  check_rows(bags);
  Arena arena(workspace);
  const std::int64_t n = bags.n;
  Pull* pulls = arena.take<Pull>(bags.count * 2 * (n - 1));
  with_real(space.dtype, [&](auto real) {
    using Z = decltype(real);
    const bool cosine = space.metric == Metric::cosine;
    double* units = cosine ? arena.take<double>(bags.rows * space.d) : nullptr;
    int* distrusted = cosine ? arena.take<int>(bags.count) : nullptr;
    if (!step) return;
    if (cosine) normalise(space.as<Z>(), bags, units, distrusted, stream);
    const bool wide = cosine || space.dtype == 1;
    const int threads = step_threads(bags, step_vertices(wide, space.d));
    const int dim = space.d <= 8 ? 8 : space.d <= 32 ? 32 : 64;
    const std::size_t growing =
        wide ? growing_bytes<double>(n, dim, threads) : growing_bytes<float>(n, dim, threads);
    const std::int64_t places = BlockTree<Z>::places(n);
    const std::size_t end = BlockTree<Z>::scratch_bytes(n);
    const std::size_t tree = BlockTree<Z>::edge_bytes(places) + (end > growing ? end : growing);
    const Kept kept(nullptr, int(n), int(places));
    launch(signature_step<Z>, bags.count, threads, tree > kept.bytes ? tree : kept.bytes, stream,
           *step, units, distrusted, int(places), pulls);
  });
  return arena.used();
}

}  // namespace

bool step_fits_a_block(const AnySpace& x, const AnySpace& z, const Bags& bags, Plan plan) {
  return step_in_one_launch(x, z, bags, plan);
}

std::size_t signature_step_workspace(const AnySpace& z, const Bags& bags) {
  return step_or_size(z, bags, nullptr, nullptr, nullptr);
}

void signature_step(const Step& step, void* workspace, Stream stream) {
  if (!step_in_one_launch(step.x.space, step.z.space, step.bags, Plan::one_block))
    throw std::invalid_argument("no block holds such bags for a step in one launch");
  step_or_size(step.z.space, step.bags, &step, workspace, stream);
}

}  // namespace torchtopo::cuda
