// The gradient of edge lengths: each edge pulls its two ends along the gradient of its length.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

#include "../distance.hpp"

namespace torchtopo {

// Adds to dx and dy the gradient of pull * length(x, y). A length of zero or infinity pulls
// nowhere; NaN stays NaN.
template <class Real>
void pull_ends(const Real* x, const Real* y, std::size_t d, Metric metric, double pull, Real* dx,
               Real* dy) {
  const double size = length(x, y, d, metric);
  if (size == std::numeric_limits<double>::infinity()) return;
  if (metric == Metric::cosine) {
    const double nx = norm(x, d), ny = norm(y, d);
    if (nx == 0 || ny == 0) return;
    for (std::size_t k = 0; k < d; ++k) {
      const double a = x[k] / nx, b = y[k] / ny;
      dx[k] += Real(pull * ((a - b) - size * a) / nx);
      dy[k] += Real(pull * ((b - a) - size * b) / ny);
    }
    return;
  }
  if (size == 0) return;
  const auto difference = [=](std::size_t k) { return double(x[k]) - double(y[k]); };
  const auto sign = [](double t) { return t > 0 ? 1.0 : t < 0 ? -1.0 : t; };
  // A subnormal length has no reciprocal; a power of two lifts it and the differences alike.
  const double lift = size < 1e-290 ? 0x1p600 : 1.0;
  double scale = pull;  // what the sum of the terms below is multiplied with
  if (metric == Metric::euclidean) scale = pull / (size * lift);
  if (metric == Metric::chebyshev) {
    int largest = 0;
    for (std::size_t k = 0; k < d; ++k) largest += std::fabs(difference(k)) == size;
    scale = pull / largest;  // shared by the coordinates that attain the maximum
  }
  for (std::size_t k = 0; k < d; ++k) {
    double term = difference(k);
    if (metric == Metric::chebyshev && std::fabs(term) < size) continue;
    term = metric == Metric::euclidean ? term * lift : sign(term);
    const Real step = Real(scale * term);
    dx[k] += step;
    dy[k] -= step;
  }
}

}  // namespace torchtopo
