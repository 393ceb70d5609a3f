// The elder rule: Kruskal's union-find over sorted edges, a warp per bag.
//
// Each edge depends on those before it, so one lane merges; the warp fetches edges ahead of it and,
// where the bag is small, keeps the components in shared memory.
#include "platform.cuh"

namespace torchtopo::cuda {
namespace {

constexpr int in_shared = 8192;  // vertices

// Components are named by their smallest vertex: of two that merge the larger name dies.
__device__ int find(int* parent, int v) {
  while (parent[v] != v) v = parent[v] = parent[parent[v]];
  return v;
}

__global__ void __launch_bounds__(warp_size)
    kill(const std::int64_t* edges, std::int64_t m, int n, std::int64_t* dying, int* workspace) {
  const std::int64_t bag = blockIdx.x;
  const int lane = threadIdx.x;
  std::int64_t* staged = reinterpret_cast<std::int64_t*>(shared_memory());
  int* parent = workspace ? workspace + bag * n : reinterpret_cast<int*>(staged + 2 * warp_size);
  edges += bag * m * 2;
  dying += bag * m;
  for (int v = lane; v < n; v += warp_size) parent[v] = v;
  for (std::int64_t begin = 0; begin < m; begin += warp_size) {
    const std::int64_t mine = begin + lane;
    __syncwarp();
    if (mine < m) {
      staged[2 * lane] = edges[2 * mine];
      staged[2 * lane + 1] = edges[2 * mine + 1];
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
        dead = younger;
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
  if (n >= (std::int64_t(1) << 31))
    throw std::invalid_argument("generators on CUDA have fewer than 2**31 vertices");
  const bool small = n <= in_shared;
  const std::size_t shared =
      2 * warp_size * sizeof(std::int64_t) + (small ? std::size_t(n) * sizeof(int) : 0);
  launch(kill, m > 0 ? bags : 0, warp_size, shared, stream, edges, m, int(n), dying,
         small ? nullptr : static_cast<int*>(workspace));
}

}  // namespace torchtopo::cuda
