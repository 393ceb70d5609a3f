// Boruvka's rounds over segments: look at each vertex's, read again those that a bound leaves open,
// merge. Of small bags a block each does all rounds; of others all blocks look and read.
#include "stages.cuh"
#include "tiles.cuh"

namespace torchtopo::cuda {
namespace {

constexpr int lookers = 8;  // warps that share 32 vertices' segments

template <class Real>
__global__ void __launch_bounds__(lookers* warp_size)
    look_at_segments(Forest<Real> forest, Segments<Real> segments) {
  Seen<Real>* board = reinterpret_cast<Seen<Real>*>(shared_memory());
  const int lane = threadIdx.x % warp_size, part = threadIdx.x / warp_size;
  const std::int64_t vertex = std::int64_t(blockIdx.x) * warp_size + lane;
  const int b = vertex < forest.rows ? forest.owner[vertex] : nobody;
  const bool open = b != nobody && !forest.done[b];
  if (open) board[threadIdx.x] = look(forest, segments, b, int(vertex), part, lookers);
  __syncthreads();
  if (part != 0 || !open) return;
  Seen<Real> seen = board[lane];
  for (int other = 1; other < lookers; ++other) {
    const Seen<Real> too = board[other * warp_size + lane];
    if (too.best < seen.best) seen.best = too.best;
    if (too.bound < seen.bound) seen.bound = too.bound;
  }
  note(forest, segments, int(vertex), seen);
}

// A warp per vertex; most have nothing to read.
template <class Real, class Searched>
__global__ void __launch_bounds__(256)
    read_segments(Forest<Real> forest, Segments<Real> segments, Searched space) {
  const std::int64_t vertex = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (vertex >= forest.rows) return;
  const int b = forest.owner[vertex];
  if (b == nobody || forest.done[b]) return;
  read_again(forest, segments, space, b, int(vertex));
}

template <class Real, class Searched>
__global__ void __launch_bounds__(512, 1)
    rounds_in_block(Forest<Real> forest, Segments<Real> segments, Searched space) {
  const int b = blockIdx.x, first = forest.first[b], size = forest.size[b];
  bool done = forest.done[b];
  for (int round = 0; !done && round < most_rounds; ++round) {
    for (int v = first + threadIdx.x; v < first + size; v += blockDim.x)
      note(forest, segments, v, look(forest, segments, b, v, 0, 1));
    __syncthreads();
    for (int v = first + threadIdx.x / warp_size; v < first + size; v += blockDim.x / warp_size)
      read_again(forest, segments, space, b, v);
    __syncthreads();
    done = merge(forest, first, size);
  }
}

}  // namespace

template <class Real>
void look_and_read(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                   const Segments<Real>& segments, bool fresh, Stream stream) {
  launch(look_at_segments<Real>, ceil_div(bags.rows, warp_size), lookers * warp_size,
         lookers * warp_size * sizeof(Seen<Real>), stream, forest, segments);
  if (fresh) return;  // nothing has joined anything yet
  searched(compared, bags, [&](auto space) {
    launch(read_segments<Real, decltype(space)>, ceil_div(bags.rows * warp_size, 256), 256, 0,
           stream, forest, segments, space);
  });
}

template <class Real>
void all_rounds(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                const Segments<Real>& segments, Stream stream) {
  searched(compared, bags, [&](auto space) {
    launch(rounds_in_block<Real, decltype(space)>, bags.count, bags.n <= 256 ? 256 : 512, 0, stream,
           forest, segments, space);
  });
}

template void look_and_read(const Space<float>&, const Bags&, const Forest<float>&,
                            const Segments<float>&, bool, Stream);
template void look_and_read(const Space<double>&, const Bags&, const Forest<double>&,
                            const Segments<double>&, bool, Stream);
template void all_rounds(const Space<float>&, const Bags&, const Forest<float>&,
                         const Segments<float>&, Stream);
template void all_rounds(const Space<double>&, const Bags&, const Forest<double>&,
                         const Segments<double>&, Stream);

}  // namespace torchtopo::cuda
