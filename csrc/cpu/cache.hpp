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

// Memory that is wanted after what is at hand, and fetched by the way.
struct Ahead {
  const void* from = nullptr;
  std::size_t bytes = 0;

  void fetch_part(int part, int parts) const {
    const auto lines_until = [&](int k) {
      return bytes / line * std::size_t(k) / std::size_t(parts);
    };
    const char* memory = static_cast<const char*>(from);
    for (std::size_t k = lines_until(part); k < lines_until(part + 1); ++k)
      prefetch_for_later(memory + k * line);
  }
};

}  // namespace torchtopo
