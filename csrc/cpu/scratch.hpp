// Memory for one bag at a time, handed out in order and taken back all at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace torchtopo {

class Scratch {
 public:
  // Uninitialised room for count values, aligned for any vector.
  template <class T>
  T* take(std::size_t count) {
    const std::size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
    while (current_ < chunks_.size()) {
      Chunk& chunk = chunks_[current_];
      if (chunk.used + bytes <= chunk.size) {
        void* room = chunk.memory.get() + chunk.used;
        chunk.used += bytes;
        return static_cast<T*>(room);
      }
      ++current_;
    }
    chunks_.push_back(Chunk(bytes < smallest_chunk ? smallest_chunk : bytes));
    chunks_.back().used = bytes;
    return reinterpret_cast<T*>(chunks_.back().memory.get());
  }

  // What the system gave.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const Chunk& chunk : chunks_) sum += chunk.size;
    return sum;
  }

  // All that was taken is free again, and stays ours for the next bag.
  void reset() {
    for (Chunk& chunk : chunks_) chunk.used = 0;
    current_ = 0;
  }

 private:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t huge_page = std::size_t(1) << 21;
  static constexpr std::size_t smallest_chunk = std::size_t(1) << 16;

  struct Free {
    void operator()(char* memory) const {
#if defined(_WIN32)
      _aligned_free(memory);
#else
      std::free(memory);
#endif
    }
  };

  struct Chunk {
    std::size_t size, used = 0;
    std::unique_ptr<char, Free> memory;

    explicit Chunk(std::size_t bytes) : size(bytes) {
      const bool large = size >= 2 * huge_page;
      const std::size_t align = large ? huge_page : alignment;
      size = (size + align - 1) / align * align;
#if defined(_WIN32)
      memory.reset(static_cast<char*>(_aligned_malloc(size, align)));
#else
      memory.reset(static_cast<char*>(std::aligned_alloc(align, size)));
#endif
      if (!memory) throw std::bad_alloc();
#if defined(__linux__)
      // First use of a large matrix would otherwise fault once for every 4 KB of it.
      if (large) madvise(memory.get(), size, MADV_HUGEPAGE);
#endif
    }
  };

  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;
};

}  // namespace torchtopo
