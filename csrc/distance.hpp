// The length of one edge, measured in double: what is returned for the N-1 edges of a tree.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace torchtopo {

enum class Metric { euclidean, manhattan, chebyshev, cosine };

// Folds f(x_k, y_k) over k in eight independent chains, always the same ones: an edge has one
// length, wherever it is measured.
template <class Real, class Term, class Join>
inline double fold(const Real* x, const Real* y, std::size_t d, Term term, Join join) {
  double lane[8] = {};
  std::size_t k = 0;
  for (; k + 8 <= d; k += 8)
    for (std::size_t l = 0; l < 8; ++l) lane[l] = join(lane[l], term(x[k + l], y[k + l]));
  for (std::size_t l = 0; k + l < d; ++l) lane[l] = join(lane[l], term(x[k + l], y[k + l]));
  return join(join(join(lane[0], lane[1]), join(lane[2], lane[3])),
              join(join(lane[4], lane[5]), join(lane[6], lane[7])));
}

inline double plus(double a, double b) { return a + b; }
inline double larger_or_nan(double a, double b) { return a > b || a != a ? a : b; }

template <class Real>
inline double chebyshev(const Real* x, const Real* y, std::size_t d) {
  return fold(x, y, d, [](double a, double b) { return std::fabs(a - b); }, larger_or_nan);
}

template <class Real>
inline double euclidean(const Real* x, const Real* y, std::size_t d) {
  const double square = fold(x, y, d, [](double a, double b) { return (a - b) * (a - b); }, plus);
  if (square > 1e-270 && square < 1e300) return std::sqrt(square);
  // The squares may have left the range of double where the length has not.
  const double scale = chebyshev(x, y, d);
  if (!(scale > 0 && scale <= 1.7976931348623157e308)) return scale;
  return scale *
         std::sqrt(fold(
             x, y, d, [scale](double a, double b) { return (a - b) / scale * ((a - b) / scale); },
             plus));
}

template <class Real>
inline double norm(const Real* x, std::size_t d) {
  return std::sqrt(fold(x, x, d, [](double a, double) { return a * a; }, plus));
}

// 1 - cos as half the squared distance of the unit vectors, in which nothing cancels. The angle to
// a zero vector has cosine 0, as torch.nn.functional.cosine_similarity has it.
template <class Real>
inline double cosine(const Real* x, const Real* y, std::size_t d) {
  const double nx = norm(x, d), ny = norm(y, d);
  if (nx == 0 || ny == 0) return nx != nx || ny != ny ? nx + ny : 1;
  return 0.5 * fold(
                   x, y, d,
                   [nx, ny](double a, double b) { return (a / nx - b / ny) * (a / nx - b / ny); },
                   plus);
}

template <class Real>
inline double length(const Real* x, const Real* y, std::size_t d, Metric metric) {
  switch (metric) {
    case Metric::manhattan:
      return fold(x, y, d, [](double a, double b) { return std::fabs(a - b); }, plus);
    case Metric::chebyshev:
      return chebyshev(x, y, d);
    case Metric::cosine:
      return cosine(x, y, d);
    default:
      return euclidean(x, y, d);
  }
}

}  // namespace torchtopo
