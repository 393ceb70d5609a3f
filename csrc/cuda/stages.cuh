// The stages of finding trees, which trees.cu puts together. `space` is what edges are measured in;
// `compared` what they are compared by while they are sought: the same, or unit vectors.
#pragma once

#include "batch.hpp"
#include "segments.cuh"
#include "sort.cuh"

namespace torchtopo::cuda {

// prim.cu: a block per bag; the points must fit (plan.hpp). `distrusted` (null: none) marks bags to
// be left to the textbook.
template <class In, class Real>
void prim_of_points(const Space<In>& space, const Space<Real>& compared, const Bags& bags,
                    const int* distrusted, std::int64_t* edges, In* weights, Stream stream);

// normalise.cu: unit vectors; marks the bags that have a point without one.
template <class In>
void normalise(const Space<In>& space, const Bags& bags, double* unit, int* distrusted,
               Stream stream);

// boruvka_matrix.cu: a block per matrix.
template <class In>
void boruvka_in_block(const Space<In>& space, const Bags& bags, std::int64_t* edges, In* weights,
                      Stream stream);

// scan.cu: fills the segments.
template <class Real>
void scan(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
          const Segments<Real>& segments, Stream stream);

// rounds.cu: from the segments, each vertex's nearest and each component's least key, in the first
// round (`fresh`) or a later one; or all rounds with their merging, a block per bag.
template <class Real>
void look_and_read(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                   const Segments<Real>& segments, bool fresh, Stream stream);
template <class Real>
void all_rounds(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                const Segments<Real>& segments, Stream stream);

// boruvka_points.cu: the nearest neighbour of each vertex in another component, without segments.
template <class Real>
void nearest_of_points(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
                       Stream stream);

// boruvka.cu: the edges of all trees, in no order.
template <class Real>
void boruvka(const Space<Real>& compared, const Bags& bags, const Forest<Real>& forest,
             const Segments<Real>& segments, Stream stream);

// kruskal_order.cu: from those edges to the rows that are returned.
template <class In>
struct Sorting {
  Choices<Key<In>, Long> edges[2];
  Key<double>* textbook_key;
  int* textbook_from;

  static Sorting in(Arena& arena, const Space<In>& space, const Bags& bags);
};
template <class In, class Quick>
void kruskal_order(const Space<In>& space, const Bags& bags, const Forest<Quick>& forest,
                   const Sorting<In>& sorting, std::int64_t* edges, In* weights, Stream stream);

}  // namespace torchtopo::cuda
