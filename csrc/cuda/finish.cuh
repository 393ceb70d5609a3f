// A bag's tree in the shared memory of the block that found it: measured, sorted, written out.
#pragma once

#include "bags.cuh"
#include "length.cuh"
#include "sort.cuh"

namespace torchtopo::cuda {

constexpr int block_limit = 2048;  // vertices of a bag that one block finishes
constexpr int most_warps = 32;

// The exact key of an edge, found by a whole warp. `bad` becomes true where the arithmetic that
// chose the edge cannot be trusted; `infinite` says that it found the edge infinitely long.
template <class Quick, class In>
__device__ Key<In> measured(const Space<In>& space, const In* bag, int i, int j, bool infinite,
                            bool& bad) {
  if (space.metric == Metric::precomputed) return order_key(bag[std::int64_t(i) * space.d + j]);
  const double exact = warp_length(bag + i * space.d, bag + j * space.d, space.d, space.metric);
  const Key<Quick> quick = infinite ? Order<Quick>::infinity : 0;
  bad |= out_of_range<Quick>(quick, exact, space.metric);
  return order_key(In(exact));
}

// Prim's algorithm as textbooks have it, each edge measured in double without leaving its range:
// for the rare bag whose quick arithmetic could not be trusted. `key` and `from` hold n entries;
// vertex v is always its warp's own.
using TextbookChoice = Choice<Key<double>, Long>;

template <class In, class Emit>
__device__ void textbook_prim(const Space<In>& space, const In* bag, int n, Key<double>* key,
                              int* from, TextbookChoice* board, Emit emit) {
  constexpr int in_tree = -1;
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int warps = blockDim.x / warp_size;
  for (int v = threadIdx.x; v < n; v += blockDim.x) {
    key[v] = absent<double>;
    from[v] = v == 0 ? in_tree : 0;
  }
  __syncthreads();
  int newest = 0;
  for (int k = 0; k < n - 1; ++k) {
    TextbookChoice best = TextbookChoice::none();
    for (int v = warp; v < n; v += warps) {
      int older = from[v];
      if (older == in_tree) continue;
      Key<double> nearest = key[v];
      const double length =
          warp_length(bag + v * space.d, bag + newest * space.d, space.d, space.metric);
      const Key<double> candidate = order_key(length);
      if (candidate < nearest || (candidate == nearest && newest < older)) {
        nearest = candidate;
        older = newest;
      }
      __syncwarp();
      if (lane == 0) {
        key[v] = nearest;
        from[v] = older;
      }
      const TextbookChoice choice = {nearest, Ends<Long>::code(Long(v), Long(older))};
      if (choice < best) best = choice;
    }
    best = block_min(best, board, k % 2, warps);
    newest = Ends<Long>::newer(best.code);
    if (newest % warps == warp && lane == 0) from[newest] = in_tree;
    __syncwarp();
    if (threadIdx.x == 0) emit(k, Ends<Long>::smaller(best.code), Ends<Long>::larger(best.code));
  }
  __syncthreads();
}

// N-1 edges in shared memory, and room for what finishing them takes.
template <class In>
struct BlockTree {
  Key<In>* keys;  // until an edge is measured: whether its quick length was infinite
  Short* codes;
  unsigned char* scratch;  // scratch_bytes(n), free for the kernel until `finish`

  static std::size_t scratch_bytes(std::int64_t n) {
    return std::size_t(n) * (sizeof(Key<double>) + sizeof(int)) +
           2 * warp_size * sizeof(TextbookChoice);
  }
  static std::int64_t places(std::int64_t n) { return power_of_two_above(n - 1); }
  __host__ __device__ static std::size_t edge_bytes(std::int64_t places) {
    return (std::size_t(places) * (sizeof(Key<In>) + sizeof(Short)) + 15) / 16 * 16;
  }
  static std::size_t bytes(std::int64_t n) { return edge_bytes(places(n)) + scratch_bytes(n); }

  __device__ BlockTree(unsigned char* memory, std::int64_t places)
      : keys(reinterpret_cast<Key<In>*>(memory)),
        codes(reinterpret_cast<Short*>(keys + places)),
        scratch(memory + edge_bytes(places)) {}

  // Every place names an edge, also one that no round comes to fill.
  __device__ void clear(int n) const {
    for (int k = threadIdx.x; k < n - 1; k += blockDim.x) {
      codes[k] = Ends<Short>::code(1, 0);
      keys[k] = 0;
    }
  }
};

constexpr int measured_at_once = 4;  // edges, by a warp

// Whether the arithmetic that chose the edges cannot be trusted; a thread speaks for its own.
template <class In, class Quick>
__device__ __noinline__ bool measure(const Space<In>& space, const In* bag, BlockTree<In> tree,
                                     int count) {
  constexpr int many = measured_at_once;
  const auto pointed = [&](int k) {
    const Short code = tree.codes[k < count ? k : count - 1];
    return Pointed<In>{bag + Ends<Short>::smaller(code) * space.d,
                       bag + Ends<Short>::larger(code) * space.d};
  };
  if (space.metric == Metric::precomputed) {  // read, by a thread each
    for (int k = threadIdx.x; k < count; k += blockDim.x)
      tree.keys[k] = order_key(pointed(k).x[Ends<Short>::larger(tree.codes[k])]);
    return false;
  }
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  bool bad = false;
  for (int begin = warp * many; begin < count; begin += int(blockDim.x) / warp_size * many) {
    const double exact =
        warp_lengths<many>([&](int e) { return pointed(begin + e); }, space.d, space.metric);
    const int k = begin + folded_by<many>(lane);
    if (k >= count || lane % (warp_size / many) != 0) continue;
    const Key<Quick> quick = tree.keys[k] != 0 ? Order<Quick>::infinity : 0;
    bad |= out_of_range<Quick>(quick, exact, space.metric);
    tree.keys[k] = order_key(In(exact));
  }
  return bad;
}

// By (key, code).
template <class In>
__device__ void sort(BlockTree<In> tree, int count) {
  int places = 1;
  while (places < count) places *= 2;
  for (int k = count + threadIdx.x; k < places; k += blockDim.x) {
    tree.keys[k] = absent<In>;
    tree.codes[k] = largest<Short>;
  }
  block_sort(Choices<Key<In>, Short>{tree.keys, tree.codes}, places);
}

// From the edges in the order in which they were found to Kruskal's. `distrusted` bags are found
// again by the textbook.
template <class In, class Quick>
__device__ inline void put_in_order(const Space<In>& space, const Bag& place, BlockTree<In> tree,
                                    bool distrusted) {
  const In* bag = values_of(space, place);
  const int count = place.size > 0 ? place.size - 1 : 0;
  __syncthreads();
  if (!distrusted) distrusted = __syncthreads_or(measure<In, Quick>(space, bag, tree, count));
  if (distrusted) {
    Key<double>* key = reinterpret_cast<Key<double>*>(tree.scratch);
    TextbookChoice* board = reinterpret_cast<TextbookChoice*>(key + place.size);
    textbook_prim(space, bag, place.size, key, reinterpret_cast<int*>(board + 2 * warp_size), board,
                  [&](int k, int i, int j) {
                    tree.codes[k] = Ends<Short>::code(Short(i), Short(j));
                    tree.keys[k] = 0;
                  });
    measure<In, Quick>(space, bag, tree, count);
  }
  __syncthreads();
  // Which end was the newer no longer matters, and would tell equal edges apart.
  for (int k = threadIdx.x; k < count; k += blockDim.x) tree.codes[k] |= 1;
  sort(tree, count);
}

// The same, and to the rows that are returned.
template <class In, class Quick>
__device__ __noinline__ void finish(const Space<In>& space, const Bag& place, BlockTree<In> tree,
                                    bool distrusted, std::int64_t* edges, In* weights) {
  put_in_order<In, Quick>(space, place, tree, distrusted);
  for (int k = threadIdx.x; k < place.out_rows; k += blockDim.x) {
    const bool real = k < place.size - 1;
    const std::int64_t row = place.out + k;
    edges[2 * row] = real ? place.named + Ends<Short>::smaller(tree.codes[k]) : -1;
    edges[2 * row + 1] = real ? place.named + Ends<Short>::larger(tree.codes[k]) : -1;
    weights[row] = real ? order_weight<In>(tree.keys[k]) : In(0);
  }
}

}  // namespace torchtopo::cuda
