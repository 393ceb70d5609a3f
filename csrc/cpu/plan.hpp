// Which kernel finds the tree of n points in d dimensions. Of some thousands, by the matrix of
// their distances while that is cheaper to store than its rows are to compute again, in many
// dimensions by that of their codes' distances; else row by row; of more with the help of a coarse
// copy, or, in few dimensions, of boxes; in many by the smallest edges into segments, which waits
// for no memory.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>

#include "isa.hpp"

namespace torchtopo {

enum class Plan { tiled, codes, matrix_free, coarse, boxes, segments };

// The kernel of each plan, in the order of their names.
template <class Real>
struct Way {
  Plan plan;
  const char* name;
  FindTree<Real> Kernels<Real>::*kernel;
  bool any_coordinates;  // infinite and NaN included
  // Tree and farthest pair at once, of any coordinates too; null where one goes after the other.
  FindTreeAndFarthest<Real> Kernels<Real>::*with_farthest;
};

template <class Real>
inline constexpr Way<Real> ways[] = {
    {Plan::tiled, "tiled", &Kernels<Real>::prim_tiled, true, nullptr},
    {Plan::codes, "codes", &Kernels<Real>::prim_codes, true,
     &Kernels<Real>::prim_codes_and_farthest},
    {Plan::matrix_free, "matrix-free", &Kernels<Real>::prim_matrix_free, true, nullptr},
    {Plan::coarse, "coarse", &Kernels<Real>::prim_coarse, false, nullptr},
    {Plan::boxes, "boxes", &Kernels<Real>::boruvka, false, nullptr},
    {Plan::segments, "segments", &Kernels<Real>::boruvka_segments, false, nullptr},
};

// From so many points on, in up to so many dimensions; the first row that fits holds.
// `make -C tests/cpp crossover` prints what it rests on: all plans over n and d.
struct Range {
  int n, d;
  Plan plan;
};

inline constexpr int any = std::numeric_limits<int>::max();
template <class Real>
inline constexpr Range plans[] = {
    {65536, 10, Plan::boxes},    {32768, 8, Plan::boxes},       {16384, 6, Plan::boxes},
    {8192, 5, Plan::boxes},      {4096, 3, Plan::boxes},        {65536, any, Plan::segments},
    {8192, 24, Plan::coarse},    {16385, any, Plan::segments},  {16384, 256, Plan::segments},
    {8192, 128, Plan::segments}, {1024, 16, Plan::matrix_free}, {4096, 24, Plan::coarse},
    {4096, 96, Plan::segments},  {129, 8, Plan::matrix_free},   {0, 63, Plan::tiled},
    {1024, any, Plan::codes},    {0, 127, Plan::tiled},         {512, any, Plan::codes},
    {256, 1024, Plan::codes},    {0, any, Plan::tiled},
};
// A matrix of doubles takes twice the time and room; that of their codes' distances does not.
template <>
inline constexpr Range plans<double>[] = {
    {65536, 10, Plan::boxes},     {32768, 8, Plan::boxes},     {16384, 6, Plan::boxes},
    {8192, 5, Plan::boxes},       {4096, 4, Plan::boxes},      {2048, 2, Plan::boxes},
    {65536, any, Plan::segments}, {8192, 24, Plan::coarse},    {16385, any, Plan::segments},
    {16384, 256, Plan::segments}, {8192, 128, Plan::segments}, {2048, 24, Plan::coarse},
    {512, 12, Plan::matrix_free}, {512, any, Plan::codes},     {128, 16, Plan::matrix_free},
    {192, 1024, Plan::codes},     {96, 8, Plan::matrix_free},  {0, any, Plan::tiled},
};

template <class Real>
Plan plan_of(int n, int d) {
  for (const Range& range : plans<Real>)
    if (n >= range.n && d <= range.d) {
      const bool slow = range.plan == Plan::codes && !instruction_set().multiplies_pairs;
      return slow ? Plan::tiled : range.plan;
    }
  return Plan::tiled;
}

template <class Real>
const Way<Real>& way_of(Plan plan) {
  return ways<Real>[std::size_t(plan)];
}

// What is forgotten here or in each_isa/kernels.hpp does not compile.
template <class Real>
constexpr bool every_plan_has_its_way() {
  std::size_t count = 0;
  for (const Way<Real>& way : ways<Real>)
    if (std::size_t(way.plan) != count++) return false;
  for (const Range& range : plans<Real>)
    if (std::size_t(range.plan) >= count) return false;
  return true;
}
template <class Real>
constexpr bool every_size_has_its_plan() {
  const Range& last = plans<Real>[std::size(plans<Real>) - 1];
  return last.n == 0 && last.d == any;
}
static_assert(every_plan_has_its_way<float>() && every_plan_has_its_way<double>(),
              "give each Plan its row in ways, in the order of Plan");
static_assert(every_size_has_its_plan<float>() && every_size_has_its_plan<double>(),
              "the last row of plans must take every size: {0, any, ...}");

template <class Real>
constexpr bool every_way_has_its_kernel(const Kernels<Real>& kernels) {
  for (const Way<Real>& way : ways<Real>)
    if (!(kernels.*way.kernel) || (way.with_farthest && !(kernels.*way.with_farthest)))
      return false;
  return true;
}

}  // namespace torchtopo
