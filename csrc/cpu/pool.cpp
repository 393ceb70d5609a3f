#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace torchtopo {
namespace {

// About what a thread takes to fall asleep and be woken: for so long it waits awake, and leaves its
// core to whoever else wants it.
constexpr std::chrono::microseconds patience{50};

template <class Happened>
void wait_awake(Happened happened) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!happened() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
}

// One call of parallel_for. Each of its workers takes the next task until there is none.
struct Job {
  const std::function<void(int, std::int64_t)>& work;
  const std::int64_t count;
  const int helpers;  // beside the thread that called
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  int joined = 0;            // helpers so far; the pool's mutex guards it
  std::atomic<int> busy{0};  // helpers now; written under that mutex

  void run(int worker) {
    try {
      for (std::int64_t k; (k = next.fetch_add(1, std::memory_order_relaxed)) < count;)
        work(worker, k);
    } catch (...) {
      next.store(count, std::memory_order_relaxed);
      std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  }
};

// Any number of jobs at a time, those within the tasks of others included. Whoever calls works on
// its own job until no task is left and waits only for tasks that others have begun, so that no job
// waits for one that waits for it.
class Pool {
 public:
  // Runs the job in the calling thread and in as many of `threads` - 1 others as are idle.
  void run(Job& job, int threads) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (int(threads_.size()) < threads - 1) threads_.emplace_back([this] { serve(); });
      open_.push_back(&job);
      any_open_.store(true, std::memory_order_relaxed);
    }
    for (int helper = 0; helper < job.helpers; ++helper) work_.notify_one();
    job.run(0);
    // A thread that has not woken up yet comes too late, and is not waited for.
    std::unique_lock<std::mutex> lock(mutex_);
    close(job);
    const auto done = [&] { return job.busy.load(std::memory_order_relaxed) == 0; };
    if (done()) return;
    lock.unlock();
    wait_awake(done);
    lock.lock();
    done_.wait(lock, done);
  }

 private:
  [[noreturn]] void serve() {
    for (;;) {
      wait_awake([this] { return any_open_.load(std::memory_order_relaxed); });
      std::unique_lock<std::mutex> lock(mutex_);
      work_.wait(lock, [this] { return !open_.empty(); });
      Job& job = *open_.front();
      const int worker = ++job.joined;
      if (worker == job.helpers) close(job);
      ++job.busy;
      lock.unlock();
      job.run(worker);
      lock.lock();
      close(job);
      if (--job.busy == 0) done_.notify_all();
    }
  }

  // No more helpers: there is no place, or no task, left.
  void close(const Job& job) {
    open_.erase(std::remove(open_.begin(), open_.end(), &job), open_.end());
    any_open_.store(!open_.empty(), std::memory_order_relaxed);
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::vector<std::thread> threads_;
  std::vector<Job*> open_;             // the eldest first
  std::atomic<bool> any_open_{false};  // written under the mutex
};

// Never destroyed: its threads live as long as the process, and a child must not touch the mutexes
// that its parent may have held when it forked.
std::atomic<Pool*> pool{nullptr};

Pool& the_pool() {
  static const bool made = [] {
    pool.store(new Pool);
#if !defined(_WIN32)
    pthread_atfork(nullptr, nullptr, [] { pool.store(new Pool); });
#endif
    return true;
  }();
  (void)made;
  return *pool.load();
}

}  // namespace

void parallel_for(std::int64_t count, int threads,
                  const std::function<void(int, std::int64_t)>& work) {
  Job job{work, count, int(std::min<std::int64_t>(count, threads)) - 1, {}, {}, {}};
  if (job.helpers > 0)
    the_pool().run(job, threads);
  else
    job.run(0);
  if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace torchtopo
