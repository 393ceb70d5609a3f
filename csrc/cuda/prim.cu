// Dense Prim, a block per bag, all bags of a batch in one launch; distances are never stored.
//
// Each thread holds a few points that are still outside the tree, in registers, and for each the
// smallest edge to the tree. A step has one barrier: the warps elect the smallest edge of all,
// every warp fetches the point that has joined, and all measure their distance to it. Whenever half
// of the points have joined, the rest are dealt again to the first half of the threads.
#include "finish.cuh"
#include "plan.hpp"
#include "stages.cuh"

namespace torchtopo::cuda {
namespace {

using Seat =
    std::uint32_t;  // vertex << 16 | older: a point outside the tree and its nearest inside

template <class In, class Real, class Rule, int dim>
__global__ void __launch_bounds__(Registers<Real, dim>::threads)
    prim(Bags bags, Space<In> space, const Real* points, const int* distrusted, int places,
         std::int64_t* edges, In* weights) {
  constexpr int vertices = Registers<Real, dim>::vertices;
  using Chosen = Choice<Key<Real>, Short>;
  const Bag place = bag_at(bags, blockIdx.x);
  const int n = place.size, d = int(space.d);
  const int thread = threadIdx.x, lane = thread % warp_size, warp = thread / warp_size;
  const int threads = blockDim.x, warps = threads / warp_size;
  points += place.first * d;

  const BlockTree<In> tree(shared_memory(), places);
  Chosen* board = reinterpret_cast<Chosen*>(tree.scratch);
  Real* joined = reinterpret_cast<Real*>(board + 2 * warp_size) + warp * dim;  // a copy per warp
  Key<Real>* dealt_keys = reinterpret_cast<Key<Real>*>(joined + (warps - warp) * dim);
  Seat* dealt = reinterpret_cast<Seat*>(dealt_keys + (n + 1) / 2);
  int* seats = reinterpret_cast<int*>(dealt + (n + 1) / 2);

  int newest = 0, found = 0, outside = n - 1;
  while (outside > 0) {
    Key<Real> key[vertices];
    int vertex[vertices], older[vertices];
    Real at[vertices][dim];
#pragma unroll
    for (int s = 0; s < vertices; ++s) {
      const int seat = thread + s * threads;
      const bool taken = seat < outside;
      const bool first_deal = found == 0;
      vertex[s] = !taken ? -1 : first_deal ? seat + 1 : int(dealt[seat] >> 16);
      older[s] = taken && !first_deal ? int(dealt[seat] & 0xffff) : 0;
      key[s] = taken && !first_deal ? dealt_keys[seat] : absent<Real>;
#pragma unroll
      for (int k = 0; k < dim; ++k) at[s][k] = taken && k < d ? points[vertex[s] * d + k] : Real(0);
    }
    const int busy = int(ceil_div(outside < threads ? outside : threads, warp_size));  // warps
    const int keep = outside / 2;
    for (; outside > keep; --outside, ++found) {
      Chosen best = Chosen::none();
      if (warp < busy) {
        __syncwarp();
        for (int k = lane; k < dim; k += warp_size)
          joined[k] = k < d ? points[newest * d + k] : Real(0);
        __syncwarp();
#pragma unroll
        for (int s = 0; s < vertices; ++s) {
          Real length = 0;
#pragma unroll
          for (int begin = 0; begin < dim; begin += chunk) {
            Real part = 0;
#pragma unroll
            for (int k = begin; k < begin + chunk && k < dim; k += Quad<Real>::width) {
              const Quad<Real> other = *reinterpret_cast<const Quad<Real>*>(joined + k);
#pragma unroll
              for (int l = 0; l < Quad<Real>::width; ++l)
                part = Rule::add(part, at[s][k + l] - other.x[l]);
            }
            length = Rule::join(length, part);
          }
          const Key<Real> candidate = length_key(Rule::finish(length));
          // Of two edges at one vertex the one with the smaller other end is the smaller.
          if (candidate < key[s] || (candidate == key[s] && newest < older[s])) {
            key[s] = candidate;
            older[s] = newest;
          }
          if (vertex[s] < 0) continue;
          const Chosen choice = {key[s], Ends<Short>::code(Short(vertex[s]), Short(older[s]))};
          if (choice < best) best = choice;
        }
      }
      best = block_min(best, board, found % 2, busy);
      newest = Ends<Short>::newer(best.code);
#pragma unroll
      for (int s = 0; s < vertices; ++s)
        if (vertex[s] == newest) vertex[s] = -1;
      if (thread == 0) {
        tree.codes[found] = best.code;
        tree.keys[found] = best.key == Order<Real>::infinity;
      }
    }
    if (outside == 0) break;
    if (thread == 0) *seats = 0;
    __syncthreads();
#pragma unroll
    for (int s = 0; s < vertices; ++s) {
      if (vertex[s] < 0) continue;
      const int seat = atomicAdd(seats, 1);
      dealt[seat] = Seat(vertex[s]) << 16 | Seat(older[s]);
      dealt_keys[seat] = key[s];
    }
    __syncthreads();
  }
  finish<In, Real>(space, place, tree, distrusted && distrusted[blockIdx.x], edges, weights);
}

template <class In, class Real, class Rule, int dim>
void run(const Space<In>& space, const Real* points, const Bags& bags, const int* distrusted,
         std::int64_t* edges, In* weights, Stream stream) {
  using Shape = Registers<Real, dim>;
  const std::int64_t n = bags.n;
  const std::int64_t fewest = ceil_div(n > 1 ? n - 1 : 1, Shape::vertices);
  const int threads = int(ceil_div(fewest, warp_size) * warp_size);
  const std::size_t election = 2 * warp_size * sizeof(Choice<Key<Real>, Short>) +
                               std::size_t(threads / warp_size) * dim * sizeof(Real);
  const std::size_t deal = std::size_t((n + 1) / 2) * (sizeof(Key<Real>) + sizeof(Seat)) + 16;
  const std::size_t end = BlockTree<In>::scratch_bytes(n);
  const std::int64_t places = BlockTree<In>::places(n);
  const std::size_t shared =
      BlockTree<In>::edge_bytes(places) + (end > election + deal ? end : election + deal);
  launch(prim<In, Real, Rule, dim>, bags.count, threads, shared, stream, bags, space, points,
         distrusted, int(places), edges, weights);
}

template <class In, class Real, class Rule>
void run(const Space<In>& space, const Real* points, const Bags& bags, const int* distrusted,
         std::int64_t* edges, In* weights, Stream stream) {
  if (space.d <= 8)
    return run<In, Real, Rule, 8>(space, points, bags, distrusted, edges, weights, stream);
  if (space.d <= 32)
    return run<In, Real, Rule, 32>(space, points, bags, distrusted, edges, weights, stream);
  if constexpr (sizeof(Real) == 4)
    return run<In, Real, Rule, 64>(space, points, bags, distrusted, edges, weights, stream);
}

}  // namespace

template <class In, class Real>
void prim_of_points(const Space<In>& space, const Space<Real>& compared, const Bags& bags,
                    const int* distrusted, std::int64_t* edges, In* weights, Stream stream) {
  with_rule<std::is_same_v<In, Real>, std::is_same_v<Real, double>>(space.metric, [&](auto rule) {
    run<In, Real, decltype(rule)>(space, compared.values, bags, distrusted, edges, weights, stream);
  });
}

template void prim_of_points(const Space<float>&, const Space<float>&, const Bags&, const int*,
                             std::int64_t*, float*, Stream);
template void prim_of_points(const Space<float>&, const Space<double>&, const Bags&, const int*,
                             std::int64_t*, float*, Stream);
template void prim_of_points(const Space<double>&, const Space<double>&, const Bags&, const int*,
                             std::int64_t*, double*, Stream);

}  // namespace torchtopo::cuda
