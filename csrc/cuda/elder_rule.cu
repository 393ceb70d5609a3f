// The elder rule: Kruskal's union-find over sorted edges, a warp per bag, padded or packed.
//
// Each edge depends on those before it, so one lane merges; the warp fetches edges ahead of it and,
// where the bag is small, keeps the components in shared memory.
#include "bags.cuh"

namespace torchtopo::cuda {
namespace {

constexpr std::int64_t in_shared = elder_rule_in_shared;

std::size_t shared_bytes(std::int64_t n) {
  return 2 * warp_size * sizeof(std::int64_t) + std::size_t(n) * sizeof(int);
}

// Components are named by their smallest vertex: of two that merge the larger name dies.
__device__ int find(int* parent, int v) {
  while (parent[v] != v) v = parent[v] = parent[parent[v]];
  return v;
}

// Sorted trees one after another: padded, `m` edges of `n` vertices each; or packed, where a bag
// has its own, named by their rows.
struct Trees {
  std::int64_t m, n;
  Bags packed;  // of no bags: the trees are padded

  __device__ Bag at(std::int64_t b) const {
    if (packed.count) return bag_at(packed, b);
    return {b * n, int(n), b * m, int(m), 0};
  }
};

__global__ void __launch_bounds__(warp_size)
    kill(const std::int64_t* edges, Trees trees, std::int64_t* dying, int* workspace) {
  const Bag bag = trees.at(blockIdx.x);
  const int lane = threadIdx.x, n = bag.size, m = bag.out_rows;
  std::int64_t* staged = reinterpret_cast<std::int64_t*>(shared_memory());
  int* parent = workspace ? workspace + bag.first : reinterpret_cast<int*>(staged + 2 * warp_size);
  edges += bag.out * 2;
  dying += bag.out;
  for (int v = lane; v < n; v += warp_size) parent[v] = v;
  for (int begin = 0; begin < m; begin += warp_size) {
    const int mine = begin + lane;
    __syncwarp();
    if (mine < m) {
      staged[2 * lane] = edges[2 * std::int64_t(mine)] - bag.named;
      staged[2 * lane + 1] = edges[2 * std::int64_t(mine) + 1] - bag.named;
    }
    __syncwarp();
    if (lane == 0)
      for (int k = 0; k < warp_size && begin + k < m; ++k) {
        const std::int64_t i = staged[2 * k], j = staged[2 * k + 1];
        std::int64_t& dead = staged[2 * k];
        dead = -1;  // padding kills nobody, nor does an edge that names no vertex
        if (i < 0 || i >= n || j < 0 || j >= n) continue;
        const int a = find(parent, int(i)), b = find(parent, int(j));
        if (a == b) continue;
        const int elder = a < b ? a : b, younger = a < b ? b : a;
        parent[younger] = elder;
        dead = bag.named + younger;
      }
    __syncwarp();
    if (mine < m) dying[mine] = staged[2 * lane];
  }
}

}  // namespace

std::size_t elder_rule_workspace(std::int64_t bags, std::int64_t n) {
  return n <= in_shared ? 0 : std::size_t(bags) * std::size_t(n) * sizeof(int);
}

void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, void* workspace, Stream stream) {
  if (n >= (std::int64_t(1) << 31) || m >= (std::int64_t(1) << 31))
    throw std::invalid_argument("generators on CUDA have fewer than 2**31 vertices");
  const bool small = n <= in_shared;
  launch(kill, m > 0 ? bags : 0, warp_size, shared_bytes(small ? n : 0), stream, edges,
         Trees{m, n, {}}, dying, small ? nullptr : static_cast<int*>(workspace));
}

void elder_rule_packed(const std::int64_t* edges, const Bags& bags, std::int64_t* dying,
                       Stream stream) {
  launch(kill, bags.count, warp_size, shared_bytes(bags.n), stream, edges, Trees{0, 0, bags}, dying,
         static_cast<int*>(nullptr));
}

}  // namespace torchtopo::cuda
