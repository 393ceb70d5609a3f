// What a processor's instruction set does for us: the hot kernels behind function pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../metric.hpp"
#include "../order.hpp"
#include "cache.hpp"
#include "scratch.hpp"
#include "team.hpp"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__) && \
    !defined(TORCHTOPO_ONLY_BASELINE)
#define TORCHTOPO_X86 1
#endif

namespace torchtopo {

// The farthest pair met so far: the largest key, and of equals the first in the order (i, j).
template <class Real>
struct Farthest {
  Key<Real> key = std::numeric_limits<Key<Real>>::min();
  Endpoints ends = ~Endpoints(0);
  bool infinite = false;  // a distance that is not finite was met

  void offer(Key<Real> other, Endpoints at) {
    if (other > key || (other == key && at < ends)) key = other, ends = at;
  }
  void join(const Farthest& other) {
    offer(other.key, other.ends);
    infinite |= other.infinite;
  }
};

// Calls offer(worker, k, best) for every part of a cloud, each worker with a best of its own.
template <class Real, class Offer>
Farthest<Real> farthest_of_parts(Team team, std::int64_t parts, const Offer& offer) {
  std::vector<Farthest<Real>> of_worker(std::size_t(team.threads()));
  team.each(parts, [&](int worker, std::int64_t k) {
    Farthest<Real> best = of_worker[std::size_t(worker)];
    offer(worker, k, best);
    of_worker[std::size_t(worker)] = best;
  });
  for (const Farthest<Real>& other : of_worker) of_worker[0].join(other);
  return of_worker[0];
}

// Finds the tree of points: N-1 edges in no particular order. Where the metric is Euclidean, their
// weights are squared lengths; where it is the cosine, points must be unit vectors, and they are
// too.
template <class Real>
using FindTree = void (*)(const Real* points, int n, int d, Metric, Scratch&, Team,
                          Edge<Real>* tree);

// The same, and the farthest pair on the way.
template <class Real>
using FindTreeAndFarthest = Farthest<Real> (*)(const Real* points, int n, int d, Metric, Scratch&,
                                               Team, Edge<Real>* tree);

// A symmetric matrix of keys (see order.hpp), and where the edges of its tree go.
template <class Real>
struct Rows {
  const Real* keys;
  std::size_t stride;
  int n;
  Edge<Real>* tree;
};

constexpr int most_ranked = 128;

template <class Real>
struct Kernels {
  // A distance matrix as one of keys, a copy if it isn't one; its keys are null, and it has none,
  // if an entry i < j is negative.
  Rows<Real> (*rows_of_matrix)(const Real* distances, std::size_t stride, int n, Scratch&, Team,
                               Edge<Real>* tree);
  // The distances of points, as prim_tiled has them, and the farthest pair if `far` isn't null.
  Rows<Real> (*rows_of_points)(const Real* points, int n, int d, Metric, Scratch&, Team,
                               Edge<Real>* tree, Farthest<Real>* far);
  // The trees of matrices of two rows or more, by Prim's algorithm. Of those that nobody has looked
  // at (`plain` false) but promised to be symmetric: false, and no trees, if an entry that is met
  // is no key.
  bool (*prims_abreast)(const Rows<Real>* matrices, int count, bool plain, Ahead, Scratch&);
  // Of points: by the matrix of their distances; by that of their codes' distances; without one,
  // row by row; so, but spared most of the distances by a coarse copy; by boxes around neighbours;
  // by the smallest edges into segments. The last three ask for finite coordinates.
  FindTree<Real> prim_tiled, prim_codes, prim_matrix_free, prim_coarse, boruvka, boruvka_segments;
  Farthest<Real> (*farthest)(const Real* points, int n, int d, Metric, Scratch&, Team);
  // Tree and farthest pair at once, for little more than the tree: they need the same distances.
  FindTreeAndFarthest<Real> prim_codes_and_farthest;
  // Of each of so many keys or fewer, how many are smaller; there is room for most_ranked.
  void (*ranks)(const Key<Real>* keys, int count, Key<Real>* rank);
  // Of one edge or point, in double.
  double (*length)(const Real* x, const Real* y, std::size_t d, Metric);
  double (*norm)(const Real* x, std::size_t d);
  // Adds the gradient of pull * length(x, y) to dx and dy.
  void (*pull_ends)(const Real* x, const Real* y, std::size_t d, Metric, double pull, Real* dx,
                    Real* dy);
};

struct InstructionSet {
  const char* name;
  bool (*available)();
  bool multiplies_pairs;  // 16-bit numbers, in one instruction: only so is prim_codes quicker
  Kernels<float> for_float;
  Kernels<double> for_double;

  template <class Real>
  const Kernels<Real>& kernels() const;
};

template <>
inline const Kernels<float>& InstructionSet::kernels<float>() const {
  return for_float;
}
template <>
inline const Kernels<double>& InstructionSet::kernels<double>() const {
  return for_double;
}

extern const InstructionSet baseline_set;
#if TORCHTOPO_X86
extern const InstructionSet avx2_set, avx512_set, avx512vl_set;
#endif

// The sets this processor has, each worth more than those before it on most processors.
std::vector<const InstructionSet*> instruction_sets();

// The set in use: at first the one that the environment's TORCHTOPO_ISA names, or else the
// quickest; std::invalid_argument if this processor has none of that name.
const InstructionSet& instruction_set();
void set_instruction_set(const std::string& name);

struct IsaTime {
  const InstructionSet* set;
  double seconds;
};
// What each of several wide sets takes for the same small cloud, measured once in a process; none
// where there is one such set or none.
const std::vector<IsaTime>& isa_times();
// The last, but for one that is quicker by a tenth: a tie is not for the noise to decide, for the
// last bits of a length may depend on the set.
const InstructionSet* quickest(const std::vector<IsaTime>& times);

}  // namespace torchtopo
