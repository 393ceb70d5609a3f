// The pieces of `trees` (kernels.hpp), which trees.cu puts together.
#pragma once

#include "forest.cuh"
#include "kernels.hpp"

namespace torchtopo::cuda {

// prim.cu: a block per bag; the points must fit (prim.cuh). `points` are what is compared, the
// batch's data what is measured; `distrusted` (null: none) marks bags to be left to the textbook.
template <class In, class Real>
void prim_of_points(const Batch& batch, const Real* points, const int* distrusted,
                    std::int64_t* edges, void* weights, Stream stream);

// normalise.cu: unit vectors; marks the bags that have a point without one.
template <class In>
void normalise(const Batch& batch, double* unit, int* distrusted, Stream stream);

// boruvka_matrix.cu: a block per matrix.
template <class In>
void boruvka_in_block(const Batch& batch, std::int64_t* edges, void* weights, Stream stream);
constexpr int matrix_block_limit = 1024;

// boruvka_points.cu, boruvka_matrix.cu: the nearest neighbour of each vertex in another component.
template <class Real>
void nearest_of_points(const Batch& batch, const Real* points, const Forest<Real>& forest,
                       Stream stream);
template <class Real>
void nearest_of_matrix(const Batch& batch, const Forest<Real>& forest, Stream stream);

// boruvka.cu: the edges of all trees, in no order.
template <class In, class Real>
void boruvka(const Batch& batch, const Real* points, const Forest<Real>& forest, Stream stream);

// kruskal_order.cu: from those edges to the rows that are returned.
template <class In>
struct Sorting {
  Key<In>* keys[2];
  Long* ends[2];
  Key<double>* textbook_key;
  int* textbook_from;

  static Sorting in(Arena& arena, const Batch& batch);
};
template <class In, class Quick>
void kruskal_order(const Batch& batch, const Forest<Quick>& forest, const Sorting<In>& sorting,
                   std::int64_t* edges, void* weights, Stream stream);

}  // namespace torchtopo::cuda
