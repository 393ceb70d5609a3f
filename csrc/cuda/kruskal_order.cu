// From a Boruvka forest to sorted trees: measure the edges, sort them, write the rows.
//
// Bags that a block can hold are finished by one block each. Larger ones are sorted by merging runs
// of 1, 2, 4, ... edges: an edge's new place is its place in its own run plus its rank in the
// other, of equals the left run's first: places never collide, and the launches depend on n alone.
#include "tree.cuh"
#include "trees.hpp"

namespace torchtopo::cuda {
namespace {

template <class In, class Quick>
__global__ void __launch_bounds__(1024)
    finish_in_block(Bags bags, Source<In> source, Forest<Quick> forest, int places,
                    std::int64_t* edges, In* weights) {
  const int b = blockIdx.x;
  Bag bag = bags.at(b);
  bag.size = forest.size[b];
  if (bags.cu_seqlens && bag.size == 0) return;
  const BlockTree<In> tree(shared_memory(), places);
  int* count = reinterpret_cast<int*>(tree.scratch);
  tree.clear(bag.size);
  if (threadIdx.x == 0) *count = 0;
  __syncthreads();
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x) {
    const Long code = forest.taken[bag.first + v];
    if (code == no_edge) continue;
    const int k = atomicAdd(count, 1), first = int(bag.first);
    if (k >= bag.size - 1) continue;  // a cycle: the input changed under our hands
    tree.codes[k] = Ends<Short>::code(Short(Ends<Long>::smaller(code) - first),
                                      Short(Ends<Long>::larger(code) - first));
    tree.keys[k] = forest.infinite[bag.first + v];
  }
  finish<In, Quick>(source, bag, tree, forest.distrusted[b], edges, weights);
}

// A warp per row: the key of the edge that its vertex took, and its ends by vertex of the bag.
template <class In, class Quick>
__global__ void __launch_bounds__(256)
    measure_edges(Bags bags, Source<In> source, Forest<Quick> forest, Key<In>* keys, Long* ends) {
  const std::int64_t row = (std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x) / warp_size;
  if (row >= forest.rows) return;
  const int b = forest.owner[row], lane = threadIdx.x % warp_size;
  const Long code = forest.taken[row];
  Key<In> key = absent<In>;
  Long local = no_edge;
  if (b != nobody && code != no_edge) {
    const Bag bag = bags.at(b);
    const int i = Ends<Long>::smaller(code) - int(bag.first);
    const int j = Ends<Long>::larger(code) - int(bag.first);
    bool bad = false;
    key = measured<Quick>(source, source.of(bag), i, j, forest.infinite[row], bad);
    local = edge_code(i, j);
    if (bad && lane == 0) forest.distrusted[b] = 1;
  }
  if (lane == 0) keys[row] = key, ends[row] = local;
}

template <class In, class Quick>
__global__ void __launch_bounds__(1024)
    textbook(Bags bags, Source<In> source, Forest<Quick> forest, Key<In>* keys, Long* ends,
             Key<double>* key, int* from) {
  const int b = blockIdx.x, n = forest.size[b];
  if (!forest.distrusted[b] || n < 2 || source.is_matrix()) return;
  const Bag bag = bags.at(b);
  const In* points = source.of(bag);
  const std::int64_t first = bag.first;
  TextbookChoice* board = reinterpret_cast<TextbookChoice*>(shared_memory());
  if (threadIdx.x == 0) keys[first + n - 1] = absent<In>, ends[first + n - 1] = no_edge;
  textbook_prim(source, points, n, key + first, from + first, board,
                [&](int k, int i, int j) { ends[first + k] = edge_code(i, j); });
  for (int k = threadIdx.x / warp_size; k < n - 1; k += blockDim.x / warp_size) {
    bool bad = false;
    const int i = Ends<Long>::smaller(ends[first + k]), j = Ends<Long>::larger(ends[first + k]);
    const Key<In> exact = measured<Quick>(source, points, i, j, false, bad);
    if (threadIdx.x % warp_size == 0) keys[first + k] = exact;
  }
}

template <class In>
__global__ void __launch_bounds__(256)
    merge_runs(Bags bags, int rows, const int* owner, const int* size, std::int64_t run,
               const Key<In>* keys, const Long* ends, Key<In>* sorted_keys, Long* sorted_ends) {
  using Place = Choice<Key<In>, Long>;
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int b = row < rows ? owner[row] : nobody;
  if (b == nobody || size[b] == 0) return;
  const std::int64_t first = bags.at(b).first, n = size[b], mine = row - first;
  const std::int64_t start = mine / (2 * run) * (2 * run), rest = n - start;
  const std::int64_t middle = start + (run < rest ? run : rest);
  const std::int64_t end = start + (2 * run < rest ? 2 * run : rest);
  const bool left = mine < middle;
  const Place edge = {keys[row], ends[row]};
  std::int64_t low = left ? middle : start, high = left ? end : middle;
  const std::int64_t other = low;
  while (low < high) {  // how many of the other run come before
    const std::int64_t probe = low + (high - low) / 2;
    const Place there = {keys[first + probe], ends[first + probe]};
    if (left ? there < edge : !(edge < there))
      low = probe + 1;
    else
      high = probe;
  }
  const std::int64_t place = first + start + (mine - (left ? start : middle)) + (low - other);
  sorted_keys[place] = edge.key;
  sorted_ends[place] = edge.code;
}

template <class In>
__global__ void __launch_bounds__(256)
    write_rows(Bags bags, int rows, const int* owner, const int* size, const Key<In>* keys,
               const Long* ends, std::int64_t* edges, In* weights) {
  const std::int64_t row = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const int b = bags.cu_seqlens ? owner[row] : int(row / bags.n);
  if (b == nobody || (bags.cu_seqlens && size[b] == 0)) return;
  const Bag bag = bags.at(b);
  const int k = int(row - bag.first);
  if (k >= bag.out_rows) return;
  const bool real = k < size[b] - 1 && ends[row] != no_edge;
  const std::int64_t out = bag.out + k;
  edges[2 * out] = real ? bag.named + Ends<Long>::smaller(ends[row]) : -1;
  edges[2 * out + 1] = real ? bag.named + Ends<Long>::larger(ends[row]) : -1;
  weights[out] = real ? order_weight<In>(keys[row]) : In(0);
}

}  // namespace

template <class In>
Sorting<In> Sorting<In>::in(Arena& arena, const Batch& batch) {
  Sorting<In> s = {};
  if (batch.n <= block_limit) return s;
  for (int k = 0; k < 2; ++k) {
    s.keys[k] = arena.take<Key<In>>(batch.rows);
    s.ends[k] = arena.take<Long>(batch.rows);
  }
  if (batch.is_matrix()) return s;
  s.textbook_key = arena.take<Key<double>>(batch.rows);
  s.textbook_from = arena.take<int>(batch.rows);
  return s;
}

template <class In, class Quick>
void kruskal_order(const Batch& batch, const Forest<Quick>& forest, const Sorting<In>& sorting,
                   std::int64_t* edges, void* weights, Stream stream) {
  const Bags bags(batch);
  const Source<In> source(batch);
  In* out = static_cast<In*>(weights);
  const int rows = forest.rows;
  if (batch.n <= block_limit) {
    const int threads = batch.n <= 256 ? 256 : 1024;
    launch(finish_in_block<In, Quick>, batch.bags, threads, BlockTree<In>::bytes(batch.n), stream,
           bags, source, forest, int(BlockTree<In>::places(batch.n)), edges, out);
    return;
  }
  launch(measure_edges<In, Quick>, ceil_div(batch.rows * warp_size, 256), 256, 0, stream, bags,
         source, forest, sorting.keys[0], sorting.ends[0]);
  if (!batch.is_matrix())
    launch(textbook<In, Quick>, batch.bags, 1024, 2 * warp_size * sizeof(TextbookChoice), stream,
           bags, source, forest, sorting.keys[0], sorting.ends[0], sorting.textbook_key,
           sorting.textbook_from);
  int now = 0;
  for (std::int64_t run = 1; run < batch.n; run *= 2, now = 1 - now)
    launch(merge_runs<In>, ceil_div(batch.rows, 256), 256, 0, stream, bags, rows, forest.owner,
           forest.size, run, sorting.keys[now], sorting.ends[now], sorting.keys[1 - now],
           sorting.ends[1 - now]);
  launch(write_rows<In>, ceil_div(batch.rows, 256), 256, 0, stream, bags, rows, forest.owner,
         forest.size, sorting.keys[now], sorting.ends[now], edges, out);
}

template struct Sorting<float>;
template struct Sorting<double>;
template void kruskal_order<float, float>(const Batch&, const Forest<float>&, const Sorting<float>&,
                                          std::int64_t*, void*, Stream);
template void kruskal_order<float, double>(const Batch&, const Forest<double>&,
                                           const Sorting<float>&, std::int64_t*, void*, Stream);
template void kruskal_order<double, double>(const Batch&, const Forest<double>&,
                                            const Sorting<double>&, std::int64_t*, void*, Stream);

}  // namespace torchtopo::cuda
