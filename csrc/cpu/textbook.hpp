// Prim's algorithm as in the textbook, on any weights at all: for the inputs that the vector
// kernels decline (negative entries, lengths whose squares leave the range of a double, zero
// vectors under the cosine). O(N^2) calls of weight(i, j), i < j; O(N) memory.
#pragma once

#include <limits>

#include "../order.hpp"
#include "scratch.hpp"

namespace torchtopo {

template <class Real, class Weight>
void prim_textbook(int n, Weight weight, Scratch& scratch, Edge<Real>* tree) {
  int* outside = scratch.take<int>(std::size_t(n));  // vertices not in the tree yet
  Edge<Real>* frontier = scratch.take<Edge<Real>>(std::size_t(n));
  for (int s = 0; s < n - 1; ++s) {
    outside[s] = s + 1;
    frontier[s] = {std::numeric_limits<Key<Real>>::max(), ~Endpoints(0)};
  }
  int newest = 0;
  for (int remaining = n - 1; remaining > 0; --remaining) {
    int nearest = 0;
    for (int s = 0; s < remaining; ++s) {
      const int u = outside[s], i = u < newest ? u : newest, j = u < newest ? newest : u;
      const Edge<Real> edge{key_of<Real>(weight(i, j)),
                            endpoints(std::uint32_t(u), std::uint32_t(newest))};
      if (edge < frontier[s]) frontier[s] = edge;
      if (frontier[s] < frontier[nearest]) nearest = s;
    }
    *tree++ = frontier[nearest];
    newest = outside[nearest];
    outside[nearest] = outside[remaining - 1];
    frontier[nearest] = frontier[remaining - 1];
  }
}

}  // namespace torchtopo
