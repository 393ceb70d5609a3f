// One scan of half of every square: the least edges from each vertex to each segment of its bag.
//
// A block has the rows of one segment and, in turn, segments of columns from there on. Above the
// diagonal a square of edges gives the least of each row and of each column; on it, only of each
// row, from both halves. So every cell of the table has one writer.
#include "stages.cuh"
#include "tiles.cuh"

namespace torchtopo::cuda {
namespace {

// No edge: from a vertex to itself, or to one of another bag.
template <class Real, class Searched>
__device__ void leave_out(const Forest<Real>& forest, int top, int left, const int (&owner)[micro],
                          Key<Real> (&key)[micro][micro]) {
#pragma unroll
  for (int j = 0; j < micro; ++j) {
    const int column = left + Searched::column(threadIdx.x % 16, j);
    const int bag = column < forest.rows ? forest.owner[column] : nobody;
#pragma unroll
    for (int i = 0; i < micro; ++i) {
      const int row = top + threadIdx.x / 16 * micro + i;
      if (bag != owner[i] || bag == nobody || row == column) key[i][j] = absent<Real>;
    }
  }
}

template <class Real, class Searched>
__global__ void __launch_bounds__(tile_threads)
    scan_half(Forest<Real> forest, Segments<Real> segments, Searched space, int parts) {
  using Chosen = Choice<Key<Real>, int>;
  constexpr int warps = tile_threads / warp_size;
  Chosen* board = reinterpret_cast<Chosen*>(shared_memory() + Searched::shared_bytes);
  Chosen* of_columns = board + warps * side;  // of the segment
  const int width = segments.width(), rows = forest.rows;
  const int across = threadIdx.x % 16, down = threadIdx.x / 16;
  const std::int64_t r = blockIdx.x / parts, top = r * width;
  const std::int64_t end = top + width < rows ? top + width : rows;
  for (std::int64_t c = r + blockIdx.x % parts; c * width < rows; c += parts) {
    const std::int64_t left = c * width;
    const bool diagonal = c == r;
    // Off the diagonal there is one bag, which begins here and reaches as far.
    const int b = forest.owner[left];
    if (!diagonal && (b == nobody || forest.done[b] || forest.owner[end - 1] != b)) break;
    for (int k = threadIdx.x; k < width; k += tile_threads) of_columns[k] = Chosen::none();

    for (std::int64_t strip = top; strip < end; strip += side) {
      int owner[micro];
      Chosen best[micro];
#pragma unroll
      for (int i = 0; i < micro; ++i) {
        const std::int64_t row = strip + down * micro + i;
        owner[i] = row < end ? forest.owner[row] : nobody;
        best[i] = Chosen::none();
      }
      for (std::int64_t tile = left; tile < left + width && tile < rows; tile += side) {
        Key<Real> key[micro][micro];
        space.keys(strip, tile, key);
        // Within one bag and above the diagonal all 64 x 64 are edges.
        const bool whole = !diagonal && forest.owner[strip] == b && tile + side <= rows &&
                           forest.owner[tile + side - 1] == b;
        if (!whole) leave_out<Real, Searched>(forest, int(strip), int(tile), owner, key);
#pragma unroll
        for (int j = 0; j < micro; ++j) {
          const int column = int(tile) + Searched::column(across, j);
          Chosen nearest = Chosen::none();
#pragma unroll
          for (int i = 0; i < micro; ++i) {
            const int row = int(strip) + down * micro + i;
            const bool of_row = key[i][j] < best[i].key, of_column = key[i][j] < nearest.key;
            best[i].key = of_row ? key[i][j] : best[i].key;
            best[i].code = of_row ? column : best[i].code;
            nearest.key = of_column ? key[i][j] : nearest.key;
            nearest.code = of_column ? row : nearest.code;
          }
          if (diagonal) continue;
          nearest = least(nearest, across_warp(nearest, 16));
          if (threadIdx.x % warp_size < 16)
            board[threadIdx.x / warp_size * side + Searched::column(across, j)] = nearest;
        }
        if (diagonal) continue;
        __syncthreads();
        if (threadIdx.x < side) {
          Chosen found = of_columns[tile - left + threadIdx.x];
#pragma unroll 2
          for (int warp = 0; warp < warps; ++warp)
            found = least(found, board[warp * side + threadIdx.x]);
          of_columns[tile - left + threadIdx.x] = found;
        }
        __syncthreads();
      }
#pragma unroll
      for (int i = 0; i < micro; ++i) {
        for (int step = 8; step > 0; step /= 2)  // among the 16 threads that share the row
          best[i] = least(best[i], across_warp(best[i], step));
        const int row = int(strip) + down * micro + i;
        if (across != 0 || owner[i] == nobody || (!diagonal && owner[i] != b)) continue;
        const std::int64_t at = segments.cell(rows, forest.first[owner[i]], int(left), row);
        segments.key[at] = best[i].key;
        segments.nearest[at] = best[i].key == absent<Real> ? row : best[i].code;
      }
    }
    if (diagonal) continue;
    for (int k = threadIdx.x; k < width; k += tile_threads) {
      const int column = int(left) + k;
      if (column >= rows || forest.owner[column] != b) continue;
      const std::int64_t at = segments.cell(rows, forest.first[b], int(top), column);
      segments.key[at] = of_columns[k].key;
      segments.nearest[at] = of_columns[k].key == absent<Real> ? column : of_columns[k].code;
    }
    __syncthreads();
  }
}

}  // namespace

template <class Real>
void scan(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
          const Segments<Real>& segments, Stream stream) {
  const std::int64_t rows = ceil_div(bags.rows, segments.width());
  const std::int64_t wanted = ceil_div(1024, rows > 0 ? rows : 1);
  const int parts = int(wanted < segments.count ? wanted : segments.count);
  searched(compared, bags, [&](auto space) {
    using Searched = decltype(space);
    const std::size_t shared =
        Searched::shared_bytes +
        (tile_threads / warp_size * side + segments.width()) * sizeof(Choice<Key<Real>, int>);
    launch(scan_half<Real, Searched>, rows * parts, tile_threads, shared, stream, forest, segments,
           space, parts);
  });
}

template void scan(const Space<float>&, const Bags&, const Forest<float>&, const Segments<float>&,
                   Stream);
template void scan(const Space<double>&, const Bags&, const Forest<double>&,
                   const Segments<double>&, Stream);

}  // namespace torchtopo::cuda
