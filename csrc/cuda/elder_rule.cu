// The elder rule: which component each edge of a sorted tree kills, a block per bag, padded or
// packed.
//
// A component is named by its smallest vertex. All look at once for the first edge that leaves
// them; where it leads to a smaller name the component dies there, whatever has joined the other
// side by then, and is joined to it. Such a round takes about half of the components. Names that
// fall along a chain of ascending edges leave one a round: after log2 of the names the edges that
// are left are merged one after another, as Kruskal does.
#include "bags.cuh"
#include "warp.cuh"

namespace torchtopo::cuda {
namespace {

constexpr int none = largest<int>;
constexpr int staged_words = 2 * warp_size;

std::size_t shared_bytes(std::int64_t n) {
  return (std::size_t(staged_words) + 2 * std::size_t(n)) * sizeof(int);
}

int threads_for(std::int64_t n) { return n <= 64 ? warp_size : n <= 1024 ? 256 : 1024; }

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

// A bag's edges, and for each the vertex that dies there.
struct Deaths {
  const std::int64_t* edges;
  std::int64_t* dying;
  std::int64_t named;
  int n, m;

  // The names of both ends; the same where the edge names no two vertices of the bag.
  __device__ void names(int k, const int* name, int& a, int& b) const {
    const std::int64_t i = edges[2 * std::int64_t(k)] - named;
    const std::int64_t j = edges[2 * std::int64_t(k) + 1] - named;
    const bool real = i >= 0 && i < n && j >= 0 && j < n;
    a = real ? name[i] : 0;
    b = real ? name[j] : 0;
  }
  __device__ void put(int k, int vertex) const { dying[k] = named + vertex; }
};

// The first edge out of each component; whether there is any of any.
__device__ bool look(const Deaths& deaths, const int* name, int* first) {
  bool any = false;
  for (int k = threadIdx.x; k < deaths.m; k += blockDim.x) {
    int a, b;
    deaths.names(k, name, a, b);
    if (a == b) continue;
    any = true;
    atomicMin(first + a, k);
    atomicMin(first + b, k);
  }
  return __syncthreads_or(any);
}

// Puts the name of whom each component joins, its own if it lives on, where its first edge was.
__device__ void die(const Deaths& deaths, const int* name, int* first) {
  for (int v = threadIdx.x; v < deaths.n; v += blockDim.x) {
    const int k = first[v];
    first[v] = name[v];
    if (k == none) continue;
    int a, b;
    deaths.names(k, name, a, b);
    const int other = a == v ? b : a;
    if (other >= v) continue;
    deaths.put(k, v);
    first[v] = other;
  }
  __syncthreads();
}

__device__ void swap(int*& a, int*& b) {
  int* const was = a;
  a = b;
  b = was;
}

// Until every vertex has the name of its whole component; it is in `name` then.
__device__ void rename(int n, int*& name, int*& next) {
  bool changed = true;
  for (int step = 0; changed && step < most_rounds; ++step) {
    changed = false;
    for (int v = threadIdx.x; v < n; v += blockDim.x) {
      next[v] = name[name[v]];
      changed |= next[v] != name[v];
    }
    changed = __syncthreads_or(changed);
    swap(name, next);
  }
}

__device__ int find(int* name, int v) {
  while (name[v] != v) v = name[v] = name[name[v]];
  return v;
}

// By one lane, edge after edge; the warp fetches those that are left ahead of it.
__device__ void merge_in_order(const Deaths& deaths, int* name, int* staged) {
  const int lane = threadIdx.x;
  for (int begin = 0; begin < deaths.m; begin += warp_size) {
    const int k = begin + lane;
    int a = 0, b = 0;
    if (k < deaths.m) deaths.names(k, name, a, b);
    if (warp_min(int(a == b))) continue;
    staged[2 * lane] = a;
    staged[2 * lane + 1] = b;
    __syncwarp();
    if (lane == 0)
      for (int l = 0; l < warp_size; ++l) {
        const int i = find(name, staged[2 * l]), j = find(name, staged[2 * l + 1]);
        const int elder = i < j ? i : j, younger = i < j ? j : i;
        staged[2 * l] = i == j ? none : younger;
        name[younger] = elder;
      }
    __syncwarp();
    if (staged[2 * lane] != none) deaths.put(k, staged[2 * lane]);
  }
}

__global__ void __launch_bounds__(1024)
    kill(const std::int64_t* edges, Trees trees, std::int64_t* dying, int* workspace) {
  const Bag bag = trees.at(blockIdx.x);
  const Deaths deaths = {edges + bag.out * 2, dying + bag.out, bag.named, bag.size, bag.out_rows};
  int* const staged = reinterpret_cast<int*>(shared_memory());
  int* name = workspace ? workspace + 2 * bag.first : staged + staged_words;
  int* first = name + bag.size;
  for (int v = threadIdx.x; v < bag.size; v += blockDim.x) name[v] = v;
  for (int k = threadIdx.x; k < bag.out_rows; k += blockDim.x) dying[bag.out + k] = -1;
  for (int names = bag.size; names > 1; names /= 2) {
    for (int v = threadIdx.x; v < bag.size; v += blockDim.x) first[v] = none;
    __syncthreads();
    if (!look(deaths, name, first)) return;
    die(deaths, name, first);
    swap(name, first);
    rename(bag.size, name, first);
  }
  if (threadIdx.x < warp_size) merge_in_order(deaths, name, staged);
}

}  // namespace

std::size_t elder_rule_workspace(std::int64_t bags, std::int64_t n) {
  return n <= elder_rule_in_shared ? 0 : 2 * std::size_t(bags) * std::size_t(n) * sizeof(int);
}

void elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                std::int64_t* dying, void* workspace, Stream stream) {
  if (n >= (std::int64_t(1) << 31) || m >= (std::int64_t(1) << 31))
    throw std::invalid_argument("generators on CUDA have fewer than 2**31 vertices");
  const bool small = n <= elder_rule_in_shared;
  launch(kill, m > 0 ? bags : 0, threads_for(n), shared_bytes(small ? n : 0), stream, edges,
         Trees{m, n, {}}, dying, small ? nullptr : static_cast<int*>(workspace));
}

void elder_rule_packed(const std::int64_t* edges, const Bags& bags, std::int64_t* dying,
                       Stream stream) {
  launch(kill, bags.count, threads_for(bags.n), shared_bytes(bags.n), stream, edges,
         Trees{0, 0, bags}, dying, static_cast<int*>(nullptr));
}

}  // namespace torchtopo::cuda
