// What the kernels know of a core's cache.
#pragma once

#include <cstddef>

namespace torchtopo {

// What a core's own cache may be expected to hold; a larger matrix is worth fetching ahead.
constexpr std::size_t fast_cache = std::size_t(1) << 20;

// About a page ahead: Prim jumps from row to row, and the hardware needs a while to see a stream.
inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(static_cast<const char*>(address) + 4096);
#else
  (void)address;
#endif
}

}  // namespace torchtopo
