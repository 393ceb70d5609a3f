// The pool: every task once, whatever the number of threads; exceptions arrive; many callers at a
// time; a forked child has a pool of its own. Run under ThreadSanitizer (see Makefile).
#include "cpu/pool.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

using torchtopo::parallel_for;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  std::exit(1);
}

void every_task_runs_once(int threads) {
  std::vector<int> runs(1000), of_worker(static_cast<std::size_t>(threads));
  parallel_for(1000, threads, [&](int worker, std::int64_t k) {
    ++runs[std::size_t(k)];
    ++of_worker[std::size_t(worker)];  // one worker's calls follow one another: no race
  });
  for (const int count : runs) require(count == 1, "every task runs once");
  int total = 0;
  for (const int count : of_worker) total += count;
  require(total == 1000, "workers share the tasks");
}

// Each thread in the tasks of tasks too, whatever the number of threads for either.
void tasks_of_tasks_run_once(int threads) {
  std::vector<std::vector<int>> runs(5, std::vector<int>(50));
  parallel_for(5, threads, [&](int, std::int64_t bag) {
    std::vector<int>& mine = runs[std::size_t(bag)];
    for (int round = 0; round < 3; ++round)
      parallel_for(50, 3, [&](int, std::int64_t k) { ++mine[std::size_t(k)]; });
  });
  for (const auto& bag : runs)
    for (const int count : bag) require(count == 3, "every task of a task runs once");
}

// Whether threads are still awake, falling asleep or asleep when they are wanted, or waited for.
void threads_are_woken(std::chrono::microseconds pause) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> runs{0};
    parallel_for(4, 3, [&](int, std::int64_t) {
      std::this_thread::sleep_for(pause);
      ++runs;
    });
    require(runs == 4, "tasks run once after any pause");
    std::this_thread::sleep_for(pause);
  }
}

void exceptions_arrive() {
  bool caught = false;
  try {
    parallel_for(100, 3, [](int, std::int64_t k) {
      if (k == 50) throw std::runtime_error("task");
    });
  } catch (const std::runtime_error&) {
    caught = true;
  }
  require(caught, "an exception reaches the caller");
  caught = false;
  try {
    parallel_for(3, 3, [](int, std::int64_t) {
      parallel_for(100, 2, [](int, std::int64_t k) {
        if (k == 50) throw std::runtime_error("task");
      });
    });
  } catch (const std::runtime_error&) {
    caught = true;
  }
  require(caught, "an exception of a task's task reaches the caller");
}

}  // namespace

int main() {
  for (int round = 0; round < 20; ++round)
    for (int threads = 1; threads <= 8; ++threads) {
      every_task_runs_once(threads);
      tasks_of_tasks_run_once(threads);
    }
  for (const int pause : {0, 20, 50, 200}) threads_are_woken(std::chrono::microseconds(pause));
  exceptions_arrive();
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([] {
      for (int round = 0; round < 20; ++round) {
        every_task_runs_once(3);
        tasks_of_tasks_run_once(4);
      }
    });
  for (std::thread& caller : callers) caller.join();
#if !defined(__SANITIZE_THREAD__)  // which does not follow threads into a child
  const pid_t child = fork();
  if (child == 0) {
    every_task_runs_once(3);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  require(status == 0, "the pool works in a forked child");
#endif
  std::printf("the pool holds\n");
  return 0;
}
