// Scratch that outlives a call: a fresh matrix of 64 MB costs as much time as a tenth of its
// distances, to be mapped, zeroed and unmapped.
//
// It belongs to the process, not to a thread, so that its bound is one for all: what would exceed
// it goes back to the system when its call ends. While it is being looked at, others do without;
// nobody waits, not even the child of a fork whose parent was looking.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "scratch.hpp"

namespace torchtopo {

class KeptScratch {
 public:
  // What a matrix of 4096 points in float takes, and some more.
  static constexpr std::size_t most_bytes = std::size_t(80) << 20;

  // Never destroyed: threads may still run when the process ends.
  static KeptScratch& of_process() {
    static KeptScratch* const kept = new KeptScratch;
    return *kept;
  }

  std::vector<Scratch> borrow(std::size_t count) {
    std::vector<Scratch> borrowed;
    if (looked_at_.exchange(true, std::memory_order_acquire)) return std::vector<Scratch>(count);
    for (; borrowed.size() < count && !kept_.empty(); kept_.pop_back()) {
      bytes_ -= kept_.back().bytes();
      borrowed.push_back(std::move(kept_.back()));
    }
    looked_at_.store(false, std::memory_order_release);
    borrowed.resize(count);
    return borrowed;
  }

  void give_back(std::vector<Scratch> borrowed) {
    if (looked_at_.exchange(true, std::memory_order_acquire)) return;
    for (Scratch& scratch : borrowed)
      if (bytes_ + scratch.bytes() <= most_bytes) {
        bytes_ += scratch.bytes();
        kept_.push_back(std::move(scratch));
      }
    looked_at_.store(false, std::memory_order_release);
  }

 private:
  std::atomic<bool> looked_at_{false};
  std::vector<Scratch> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace torchtopo
