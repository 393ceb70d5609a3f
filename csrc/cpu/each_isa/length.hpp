// One edge at a time, in double: the lengths that are returned for a tree's N-1 edges, and their
// gradient.
//
// Compiled once for each instruction set (see kernels.hpp).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "../../metric.hpp"
#include "rules.hpp"
#include "simd.hpp"

namespace torchtopo::ISA {

constexpr int in_a_vector = W<double>;
using Doubles = Vec<double, in_a_vector>;

template <class Join, int step, int... I>
inline Doubles join_across(Doubles joined, Join join, std::integer_sequence<int, I...> lanes) {
  if constexpr (step < in_a_vector) {
    const auto other = shuffle(joined, joined, std::integer_sequence<int, (I ^ step)...>());
    return join_across<Join, 2 * step>(join(joined, other), join, lanes);
  }
  return joined;
}

// Folds term(x_k, y_k) over k in chains, always the same ones, so that an edge has one length
// wherever it is measured; there are as many as it takes to hide the latency of an addition. A term
// of zeros must change nothing.
template <class Real, class Term, class Join>
inline double fold(const Real* x, const Real* y, std::size_t d, Term term, Join join) {
  constexpr int vectors = 16 / in_a_vector;
  Doubles chain[vectors] = {};
  const auto meet = [&](const Real* a, const Real* b) {
#pragma GCC unroll 8
    for (int c = 0; c < vectors; ++c)
      chain[c] = join(chain[c], term(widen<double, in_a_vector>(a + c * in_a_vector),
                                     widen<double, in_a_vector>(b + c * in_a_vector)));
  };
  std::size_t k = 0;
  for (; k + 16 <= d; k += 16) meet(x + k, y + k);
  if (k < d) {
    Real a[16] = {}, b[16] = {};
    for (std::size_t l = 0; k + l < d; ++l) a[l] = x[k + l], b[l] = y[k + l];
    meet(a, b);
  }
  for (int half = vectors / 2; half > 0; half /= 2)
    for (int c = 0; c < half; ++c) chain[c] = join(chain[c], chain[c + half]);
  return join_across<Join, 1>(chain[0], join, std::make_integer_sequence<int, in_a_vector>())[0];
}

inline Doubles absolute(Doubles x) {
  constexpr std::int64_t sign_cleared = std::numeric_limits<std::int64_t>::max();
  return magnitude(x, broadcast<std::int64_t, in_a_vector>(sign_cleared));
}

template <class Real, class Term>
inline double sum(const Real* x, const Real* y, std::size_t d, Term term) {
  return fold(x, y, d, term, [](Doubles a, Doubles b) { return a + b; });
}

// The largest |term(x_k, y_k)|.
template <class Real, class Term>
inline double largest(const Real* x, const Real* y, std::size_t d, Term term) {
  return fold(x, y, d, term,
              [](Doubles a, Doubles b) { return Chebyshev::join<double, in_a_vector>(a, b); });
}

// A power of two that brings the largest |term(x_k, y_k)| near 1, so that no digit changes and the
// square neither overflows nor vanishes; 1 where it is zero, infinite or NaN.
inline double power_near(double largest) {
  if (!(largest > 0 && largest <= std::numeric_limits<double>::max())) return 1;
  return std::ldexp(1.0, std::clamp(std::ilogb(largest), -1022, 1022));
}

// The root of the sum of the squares of term(x_k, y_k).
template <class Real, class Term>
inline double root_of_squares(const Real* x, const Real* y, std::size_t d, Term term) {
  const double square = sum(x, y, d, [=](Doubles a, Doubles b) { return term(a, b) * term(a, b); });
  if (square > 1e-270 && square < 1e300) return std::sqrt(square);
  // The squares may have left the range of double where the root has not.
  const double scale = power_near(largest(x, y, d, term));
  const Doubles by = broadcast<double, in_a_vector>(1 / scale);
  return scale * std::sqrt(sum(x, y, d, [=](Doubles a, Doubles b) {
           return term(a, b) * by * (term(a, b) * by);
         }));
}

template <class Real>
double norm(const Real* x, std::size_t d) {
  return root_of_squares(x, x, d, [](Doubles a, Doubles) { return a; });
}

// A vector's direction: x_k * lift / norm. The lift is a power of two, 1 unless the vector's own
// norm leaves the range of a double or its full precision.
struct Direction {
  double lift, norm;

  double operator()(double x) const { return x * lift / norm; }
};

template <class Real>
inline Direction direction(const Real* x, std::size_t d) {
  const double size = norm(x, d);
  if (size > 1e-290 && size < 1e300) return {1, size};
  const double lift = 1 / power_near(largest(x, x, d, [](Doubles a, Doubles) { return a; }));
  const Doubles by = broadcast<double, in_a_vector>(lift);
  return {lift, root_of_squares(x, x, d, [=](Doubles a, Doubles) { return a * by; })};
}

// 1 - cos as half the squared distance of the unit vectors, in which nothing cancels. The angle to
// a zero vector has cosine 0, as torch.nn.functional.cosine_similarity has it.
template <class Real>
inline double cosine(const Real* x, const Real* y, std::size_t d) {
  const Direction of_x = direction(x, d), of_y = direction(y, d);
  if (of_x.norm == 0 || of_y.norm == 0) {
    const double both = of_x.norm + of_y.norm;
    return both != both ? both : 1;
  }
  const auto lift_x = broadcast<double, in_a_vector>(of_x.lift);
  const auto lift_y = broadcast<double, in_a_vector>(of_y.lift);
  const auto norm_x = broadcast<double, in_a_vector>(of_x.norm);
  const auto norm_y = broadcast<double, in_a_vector>(of_y.norm);
  return 0.5 * sum(x, y, d, [=](Doubles a, Doubles b) {
           const Doubles apart = a * lift_x / norm_x - b * lift_y / norm_y;
           return apart * apart;
         });
}

template <class Real>
inline double length(Named<Metric::euclidean>, const Real* x, const Real* y, std::size_t d) {
  return root_of_squares(x, y, d, [](Doubles a, Doubles b) { return a - b; });
}
template <class Real>
inline double length(Named<Metric::manhattan>, const Real* x, const Real* y, std::size_t d) {
  return sum(x, y, d, [](Doubles a, Doubles b) { return absolute(a - b); });
}
template <class Real>
inline double length(Named<Metric::chebyshev>, const Real* x, const Real* y, std::size_t d) {
  return largest(x, y, d, [](Doubles a, Doubles b) { return a - b; });
}
template <class Real>
inline double length(Named<Metric::cosine>, const Real* x, const Real* y, std::size_t d) {
  return cosine(x, y, d);
}
template <class Real>
inline double length(Named<Metric::precomputed>, const Real*, const Real*, std::size_t) {
  return refused<double>();
}

template <class Real>
double length(const Real* x, const Real* y, std::size_t d, Metric metric) {
  return visit(metric, [=](auto named) { return length(named, x, y, d); });
}

// Adds step(x_k - y_k) to dx and takes it from dy.
template <class Real, class Step>
inline void pull_apart(const Real* x, const Real* y, std::size_t d, Real* dx, Real* dy, Step step) {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep  // dx is dy only where x is y, whose length is 0 or NaN
#endif
  for (std::size_t k = 0; k < d; ++k) {
    const Real by = Real(step(double(x[k]) - double(y[k])));
    dx[k] += by;
    dy[k] -= by;
  }
}

inline double sign_of(double t) { return t > 0 ? 1.0 : t < 0 ? -1.0 : t; }

// The gradient of pull * size, where size, the length of (x, y), is not zero, infinite or NaN.
template <class Real>
inline void pull_ends(Named<Metric::euclidean>, const Real* x, const Real* y, std::size_t d,
                      double size, double pull, Real* dx, Real* dy) {
  // The reciprocal of a length at either end of the range is not in it; a power of two moves the
  // length and the differences alike.
  const double lift = size < 1e-290 ? 0x1p600 : size > 1e290 ? 0x1p-600 : 1.0;
  const double scale = pull / (size * lift);
  pull_apart(x, y, d, dx, dy, [=](double t) { return scale * (t * lift); });
}
template <class Real>
inline void pull_ends(Named<Metric::manhattan>, const Real* x, const Real* y, std::size_t d, double,
                      double pull, Real* dx, Real* dy) {
  pull_apart(x, y, d, dx, dy, [=](double t) { return pull * sign_of(t); });
}
template <class Real>
inline void pull_ends(Named<Metric::chebyshev>, const Real* x, const Real* y, std::size_t d,
                      double size, double pull, Real* dx, Real* dy) {
  int largest = 0;  // the coordinates that attain the maximum share the pull
  for (std::size_t k = 0; k < d; ++k) largest += std::fabs(double(x[k]) - double(y[k])) == size;
  pull_apart(x, y, d, dx, dy,
             [=](double t) { return std::fabs(t) < size ? 0.0 : pull / largest * sign_of(t); });
}
template <class Real>
inline void pull_ends(Named<Metric::cosine>, const Real* x, const Real* y, std::size_t d,
                      double size, double pull, Real* dx, Real* dy) {
  const Direction of_x = direction(x, d), of_y = direction(y, d);
  if (of_x.norm == 0 || of_y.norm == 0) return;
  for (std::size_t k = 0; k < d; ++k) {
    const double a = of_x(double(x[k])), b = of_y(double(y[k]));
    dx[k] += Real(pull * of_x((a - b) - size * a));
    dy[k] += Real(pull * of_y((b - a) - size * b));
  }
}
template <class Real>
inline void pull_ends(Named<Metric::precomputed>, const Real*, const Real*, std::size_t, double,
                      double, Real*, Real*) {
  refused<void>();
}

// Adds to dx and dy the gradient of pull * length(x, y): an edge pulls its two ends along the
// gradient of its length. A length that is returned as zero or infinity pulls nowhere, NaN in every
// coordinate.
template <class Real>
void pull_ends(const Real* x, const Real* y, std::size_t d, Metric metric, double pull, Real* dx,
               Real* dy) {
  visit(metric, [=](auto named) {
    const double size = length(named, x, y, d);
    if (size == 0 || Real(size) == std::numeric_limits<Real>::infinity()) return;
    if (size != size) return pull_apart(x, y, d, dx, dy, [=](double) { return size; });
    pull_ends(named, x, y, d, size, pull, dx, dy);
  });
}

}  // namespace torchtopo::ISA
