// The threads that work on one bag. What they share out is cut the same way whatever their number,
// or such that it does not matter: the order in which an entry is summed never depends on it, and
// minima are those of a strict order. So results have the same bits at any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "pool.hpp"

namespace torchtopo {

class Team {
 public:
  explicit Team(int threads) : threads_(threads) {}

  int threads() const { return threads_; }
  bool alone() const { return threads_ == 1; }

  // Calls work(worker, k) for every k < count, as parallel_for does; one thread alone in order.
  template <class Work>
  void each(std::int64_t count, const Work& work) const {
    if (alone() || count == 1)
      for (std::int64_t k = 0; k < count; ++k) work(0, k);
    else
      parallel_for(count, threads_, std::cref(work));
  }

  // Calls work(begin, end) for parts of `size` of all that is less than count; one thread alone
  // takes it whole.
  template <class Work>
  void in_parts(std::int64_t count, std::int64_t size, const Work& work) const {
    if (alone() || count <= size) return work(std::int64_t(0), count);
    each((count + size - 1) / size,
         [&](int, std::int64_t k) { work(k * size, std::min((k + 1) * size, count)); });
  }

 private:
  int threads_;
};

}  // namespace torchtopo
