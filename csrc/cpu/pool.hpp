// Threads over bags. One bag is one thread's work, so results do not depend on how many there are.
//
// Not OpenMP: two OpenMP runtimes in one process (ours and torch's) fight for the cores, and one
// that was used before a fork hangs in the child. This pool grows on demand, sleeps between calls,
// and a forked child, which has none of its parent's threads, starts with a new one.
#pragma once

#include <cstdint>
#include <functional>

namespace torchtopo {

// Calls work(worker, k) once for every k < count, with 0 <= worker < threads: calls with the same
// worker follow one another. The calling thread works too. The first exception is rethrown here
// once all threads have stopped; tasks not begun by then are dropped.
void parallel_for(std::int64_t count, int threads,
                  const std::function<void(int worker, std::int64_t k)>& work);

}  // namespace torchtopo
