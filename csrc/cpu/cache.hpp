// What the kernels know of a core's cache.
#pragma once

#include <cstddef>

namespace torchtopo {

// What a core's own cache may be expected to hold; a larger matrix is worth fetching ahead.
constexpr std::size_t fast_cache = std::size_t(1) << 20;

// Jumping from row to row needs fetching so far ahead: the hardware needs a while to see a stream.
constexpr std::size_t page = 4096;

constexpr std::size_t line = 64;  // bytes

inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// Into the second level only: what is wanted later, or of many lines, would push out of the first
// what is in use now.
inline void prefetch_for_later(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address, 0, 2);
#else
  (void)address;
#endif
}

}  // namespace torchtopo
