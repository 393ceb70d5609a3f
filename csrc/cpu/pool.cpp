#include "pool.hpp"

#include <algorithm>
#include <atomic>
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

// One call of parallel_for. Each of its workers takes the next task until there is none.
struct Job {
  const std::function<void(int, std::int64_t)>& work;
  const std::int64_t count;
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;

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

class Pool {
 public:
  // Runs the job on `helpers` threads beside the calling one.
  void run(Job& job, int helpers) {
    std::lock_guard<std::mutex> one_job_at_a_time(turn_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (int(threads_.size()) < helpers) {
        const int number = int(threads_.size());
        threads_.emplace_back([this, number] { serve(number); });
      }
      job_ = &job;
      helpers_ = helpers;
      ++generation_;
    }
    work_.notify_all();
    job.run(0);
    // A thread that has not woken up yet comes too late, and is not waited for.
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  [[noreturn]] void serve(int number) {
    std::uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return generation_ != seen; });
      seen = generation_;
      Job* job = job_;
      if (!job || number >= helpers_) continue;
      ++busy_;
      lock.unlock();
      job->run(number + 1);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex turn_, mutex_;
  std::condition_variable work_, done_;
  std::vector<std::thread> threads_;
  Job* job_ = nullptr;
  int helpers_ = 0, busy_ = 0;
  std::uint64_t generation_ = 0;
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
  Job job{work, count, {}, {}, {}};
  const int helpers = int(std::min<std::int64_t>(count, threads)) - 1;
  if (helpers > 0)
    the_pool().run(job, helpers);
  else
    job.run(0);
  if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace torchtopo
