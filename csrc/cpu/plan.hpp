// Which kernel finds the tree of n points in d dimensions: by the matrix of their distances while
// that is cheaper to store than its rows are to compute again (it takes a gigabyte at 16384 points
// in float); else row by row; of many points with the help of a coarse copy, or, in few dimensions,
// of boxes.
#pragma once

#include <limits>

#include "isa.hpp"

namespace torchtopo {

enum class Plan { tiled, matrix_free, coarse, boxes };

// The kernel of each plan, in the order of their names.
template <class Real>
struct Way {
  Plan plan;
  const char* name;
  FindTree<Real> Kernels<Real>::*kernel;
  bool any_coordinates;  // infinite and NaN included
};

template <class Real>
inline constexpr Way<Real> ways[] = {
    {Plan::tiled, "tiled", &Kernels<Real>::prim_tiled, true},
    {Plan::matrix_free, "matrix-free", &Kernels<Real>::prim_matrix_free, true},
    {Plan::coarse, "coarse", &Kernels<Real>::prim_coarse, false},
    {Plan::boxes, "boxes", &Kernels<Real>::boruvka, false},
};

// From so many points on, in up to so many dimensions; the first row that fits holds.
// `make -C tests/cpp crossover` prints what it rests on: all plans over n and d.
struct Range {
  int n, d;
  Plan plan;
};

inline constexpr int any = std::numeric_limits<int>::max();
inline constexpr Range plans[] = {
    {65536, 8, Plan::boxes},  {16384, 5, Plan::boxes},     {8192, 4, Plan::boxes},
    {4096, 2, Plan::boxes},   {8192, 32, Plan::coarse},    {1024, 16, Plan::matrix_free},
    {4096, 32, Plan::coarse}, {129, 8, Plan::matrix_free}, {16385, any, Plan::matrix_free},
    {0, any, Plan::tiled},
};

inline Plan plan_of(int n, int d) {
  for (const Range& range : plans)
    if (n >= range.n && d <= range.d) return range.plan;
  return Plan::tiled;
}

template <class Real>
const Way<Real>& way_of(Plan plan) {
  for (const Way<Real>& way : ways<Real>)
    if (way.plan == plan) return way;
  return ways<Real>[0];
}

}  // namespace torchtopo
