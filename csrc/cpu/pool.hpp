// Threads over tasks, and over tasks of tasks.
//
// Not OpenMP: two OpenMP runtimes in one process (ours and torch's) fight for the cores, and one
// that was used before a fork hangs in the child. This pool grows on demand, sleeps between calls
// that do not follow at once, and a forked child, which has none of its parent's threads, starts
// with a new one.
#pragma once

#include <cstdint>
#include <functional>

namespace torchtopo {

// Calls work(worker, k) once for every k < count, with 0 <= worker < min(count, threads): calls
// with the same worker follow one another. The calling thread works too. Where there are more
// threads than tasks, the rest stand by for calls from within the tasks. The first exception is
// rethrown here once all threads have stopped; tasks not begun by then are dropped.
void parallel_for(std::int64_t count, int threads,
                  const std::function<void(int worker, std::int64_t k)>& work);

}  // namespace torchtopo
