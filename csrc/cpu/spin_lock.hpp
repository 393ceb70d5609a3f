// A lock that is held for a few instructions, so that to wait for it is quicker than to sleep.
#pragma once

#include <atomic>
#include <thread>

namespace torchtopo {

class alignas(64) SpinLock {  // a line of its own: its neighbours are not slowed down
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire))
      for (int spins = 0; held_.load(std::memory_order_relaxed); ++spins)
        if (spins % 64 == 63) std::this_thread::yield();  // its holder may be off its core
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

}  // namespace torchtopo
