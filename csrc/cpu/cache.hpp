// What the kernels know of a core's cache.
#pragma once

#include <cstddef>

namespace torchtopo {

// What a core's own cache may be expected to hold; a larger matrix is worth fetching ahead.
constexpr std::size_t fast_cache = std::size_t(1) << 20;

// Jumping from row to row needs fetching so far ahead: the hardware needs a while to see a stream.
constexpr std::size_t page = 4096;

inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

}  // namespace torchtopo
