// What a processor's instruction set does for us: the hot kernels behind function pointers.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "../metric.hpp"
#include "../order.hpp"
#include "scratch.hpp"

namespace torchtopo {

// The farthest pair met so far: the largest key, and of equals the first in the order (i, j).
template <class Real>
struct Farthest {
  Key<Real> key = -1;
  Endpoints ends = ~Endpoints(0);
  bool infinite = false;  // a distance that is not finite was met

  void offer(Key<Real> other, Endpoints at) {
    if (other > key || (other == key && at < ends)) key = other, ends = at;
  }
};

// Trees come as N-1 edges in no particular order.
template <class Real>
struct Kernels {
  // Of a distance matrix. False, and no tree, if an entry i < j is negative.
  bool (*prim)(const Real* distances, std::size_t stride, int n, Scratch&, Edge<Real>* tree);
  // Of points, by the matrix of their distances; Euclidean lengths are left squared.
  void (*prim_tiled)(const Real* points, int n, int d, Metric, Scratch&, Edge<Real>* tree);
  // The same without the matrix.
  void (*prim_matrix_free)(const Real* points, int n, int d, Metric, Scratch&, Edge<Real>* tree);
  // The same, spared most of the distances by a coarse copy; coordinates must be finite.
  void (*prim_coarse)(const Real* points, int n, int d, Metric, Scratch&, Edge<Real>* tree);
  // By boxes around neighbours, for few dimensions; coordinates must be finite.
  void (*boruvka)(const Real* points, int n, int d, Metric, Scratch&, Edge<Real>* tree);
  Farthest<Real> (*farthest)(const Real* points, int n, int d, Metric, Scratch&);
  // Both at once, for little more than the tree: they need the same distances.
  Farthest<Real> (*prim_tiled_and_farthest)(const Real* points, int n, int d, Metric, Scratch&,
                                            Edge<Real>* tree);
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

// The sets this processor has, the best last.
std::vector<const InstructionSet*> instruction_sets();
const InstructionSet& instruction_set();
void set_instruction_set(const std::string& name);  // std::invalid_argument if it is not there

}  // namespace torchtopo
