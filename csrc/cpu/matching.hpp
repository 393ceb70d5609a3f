// The cheapest partial matching of two ascending sequences, the diagonal allowed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace torchtopo {

// Numbers a and b are deaths of bars that are born at 0: matched they cost |a - b|^p, alone
// (a / 2)^p, what it takes to bring a bar to the diagonal in the maximum norm. For p >= 1 the cost
// is convex, so some cheapest matching keeps the order, and one table over prefixes finds it. With
// p infinite the largest cost counts in place of the sum. Where the table would be large, it is
// split at its middle row (Hirschberg), so that memory grows with the numbers and not with the
// product of how many there are.
class Matching {
 public:
  // Writes the partner of each number, -1 where that is the diagonal.
  void operator()(const double* a, std::int64_t count_a, const double* b, std::int64_t count_b,
                  double p, std::int64_t* of_a, std::int64_t* of_b) {
    std::fill_n(of_a, count_a, -1);
    std::fill_n(of_b, count_b, -1);
    of_a_ = of_a, of_b_ = of_b, p_ = p;
    // Zeros lie on the diagonal: those of ragged batches cost nothing, not even time.
    std::int64_t skip_a = 0, skip_b = 0;
    while (skip_a < count_a && a[skip_a] == 0) ++skip_a;
    while (skip_b < count_b && b[skip_b] == 0) ++skip_b;
    double largest = 0;
    for (std::int64_t i = skip_a; i < count_a; ++i) largest = std::max(largest, std::fabs(a[i]));
    for (std::int64_t j = skip_b; j < count_b; ++j) largest = std::max(largest, std::fabs(b[j]));
    const double scale = largest > 0 && largest < infinity ? 1 / largest : 1;
    scaled_a_.resize(std::size_t(count_a)), scaled_b_.resize(std::size_t(count_b));
    for (std::int64_t i = 0; i < count_a; ++i) scaled_a_[std::size_t(i)] = a[i] * scale;
    for (std::int64_t j = 0; j < count_b; ++j) scaled_b_[std::size_t(j)] = b[j] * scale;
    solve(skip_a, count_a, skip_b, count_b);
  }

 private:
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  static constexpr std::int64_t table_cells = std::int64_t(1) << 20;
  enum Step : unsigned char { a_alone, b_alone, matched };

  double power(double x) const {
    x = std::fabs(x);
    return p_ == 1 || p_ == infinity ? x : p_ == 2 ? x * x : std::pow(x, p_);
  }
  double sum(double x, double y) const { return p_ == infinity ? std::max(x, y) : x + y; }
  double a(std::int64_t i) const { return scaled_a_[std::size_t(i)]; }
  double b(std::int64_t j) const { return scaled_b_[std::size_t(j)]; }

  void solve(std::int64_t a0, std::int64_t a1, std::int64_t b0, std::int64_t b1) {
    if (a0 >= a1 || b0 >= b1) return;
    const std::int64_t rows = a1 - a0, columns = b1 - b0;
    if (rows == 1 || (rows + 1) * (columns + 1) <= table_cells) {
      trace(a0, a1, b0, b1);
      return;
    }
    const std::int64_t middle = a0 + rows / 2;
    // Best costs of the upper part with a prefix of b, and of the lower part with the rest.
    std::vector<double> upper, lower;
    costs(a0, middle, b0, b1, false, upper);
    costs(middle, a1, b0, b1, true, lower);
    std::int64_t best = 0;
    for (std::int64_t j = 1; j <= columns; ++j)
      if (sum(upper[std::size_t(j)], lower[std::size_t(columns - j)]) <
          sum(upper[std::size_t(best)], lower[std::size_t(columns - best)]))
        best = j;
    upper = {}, lower = {};
    solve(a0, middle, b0, b0 + best);
    solve(middle, a1, b0 + best, b1);
  }

  // What matching all of a with each prefix of b costs; of both read backwards, if asked.
  void costs(std::int64_t a0, std::int64_t a1, std::int64_t b0, std::int64_t b1, bool backwards,
             std::vector<double>& row) {
    const std::int64_t columns = b1 - b0;
    alone_b(b0, b1, backwards);
    row.assign(std::size_t(columns + 1), 0);
    for (std::int64_t j = 1; j <= columns; ++j)
      row[std::size_t(j)] = sum(row[std::size_t(j - 1)], alone_b_[std::size_t(j)]);
    for (std::int64_t i = 0; i < a1 - a0; ++i) {
      const double x = a(backwards ? a1 - 1 - i : a0 + i), alone_a = power(x / 2);
      double diagonal = row[0];
      row[0] = sum(row[0], alone_a);
      for (std::int64_t j = 1; j <= columns; ++j) {
        const double y = b(backwards ? b1 - j : b0 + j - 1);
        const double by_match = sum(diagonal, power(x - y));
        double& here = row[std::size_t(j)];
        diagonal = here;
        here = std::min(std::min(by_match, sum(here, alone_a)),
                        sum(row[std::size_t(j - 1)], alone_b_[std::size_t(j)]));
      }
    }
  }

  void alone_b(std::int64_t b0, std::int64_t b1, bool backwards) {
    alone_b_.resize(std::size_t(b1 - b0 + 1));
    for (std::int64_t j = 1; j <= b1 - b0; ++j)
      alone_b_[std::size_t(j)] = power(b(backwards ? b1 - j : b0 + j - 1) / 2);
  }

  // The table with the step taken to each cell, followed back from its end.
  void trace(std::int64_t a0, std::int64_t a1, std::int64_t b0, std::int64_t b1) {
    const std::int64_t rows = a1 - a0, columns = b1 - b0, width = columns + 1;
    alone_b(b0, b1, false);
    row_.assign(std::size_t(width), 0);
    steps_.resize(std::size_t((rows + 1) * width));
    for (std::int64_t j = 1; j <= columns; ++j) {
      row_[std::size_t(j)] = sum(row_[std::size_t(j - 1)], alone_b_[std::size_t(j)]);
      steps_[std::size_t(j)] = b_alone;
    }
    for (std::int64_t i = 1; i <= rows; ++i) {
      const double x = a(a0 + i - 1), alone_a = power(x / 2);
      unsigned char* steps = steps_.data() + i * width;
      double diagonal = row_[0];
      double left = row_[0] = sum(row_[0], alone_a);
      steps[0] = a_alone;
      for (std::int64_t j = 1; j <= columns; ++j) {
        const double by_match = sum(diagonal, power(x - b(b0 + j - 1)));
        const double by_a = sum(row_[std::size_t(j)], alone_a);
        const double by_b = sum(left, alone_b_[std::size_t(j)]);
        diagonal = row_[std::size_t(j)];
        // Of equal costs the match is taken: the fewest numbers are left alone.
        const bool a_less = by_a < by_match;
        const double best = a_less ? by_a : by_match;
        const bool b_less = by_b < best;
        left = row_[std::size_t(j)] = b_less ? by_b : best;
        steps[j] = b_less ? b_alone : a_less ? a_alone : matched;
      }
    }
    for (std::int64_t i = rows, j = columns; i > 0 || j > 0;) {
      const unsigned char step = steps_[std::size_t(i * width + j)];
      if (step == matched) {
        --i, --j;
        of_a_[a0 + i] = b0 + j;
        of_b_[b0 + j] = a0 + i;
      } else if (step == a_alone) {
        --i;
      } else {
        --j;
      }
    }
  }

  std::int64_t *of_a_ = nullptr, *of_b_ = nullptr;
  double p_ = 1;
  std::vector<double> scaled_a_, scaled_b_, alone_b_, row_;
  std::vector<unsigned char> steps_;
};

}  // namespace torchtopo
