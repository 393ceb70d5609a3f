// What measures add to the Python module: addresses and sizes in, nothing of torch.
#include "measures.hpp"

#include <algorithm>
#include <vector>

#include "../cpu/exchange.hpp"
#include "../cpu/matching.hpp"
#include "../cpu/pool.hpp"
#include "../cpu/single_linkage.hpp"
#include "arguments.hpp"

namespace py = pybind11;

namespace torchtopo {
namespace {

// Calls work(state, b) for every bag, each thread with its own state; `steps` is the work of all.
template <class State, class Work>
void for_each(Size bags, int threads, double steps, Work work) {
  py::gil_scoped_release other_threads_may_run;
  const int workers = int(std::max(1.0, std::min(double(threads), steps / 20000)));
  std::vector<State> states(static_cast<std::size_t>(workers));
  parallel_for(bags, workers, [&](int worker, Size b) { work(states[std::size_t(worker)], b); });
}

// Trees (bags, m, 2), or packed, that of bag b in the rows from cu_seqlens[b] - b; heights float32
// or float64, and rows of the same type.
template <class Real>
void single_linkage(Size edges, Size heights, Size bags, Size m, Size cu_seqlens, Size rows,
                    int threads) {
  const Size* ends = at<const Size>(cu_seqlens);
  const double steps = 16 * (ends ? double(ends[bags]) : double(bags) * double(m));
  for_each<Merges>(bags, threads, steps, [&](Merges& linkage, Size b) {
    const Size first = ends ? ends[b] - b : b * m;
    const Size count = ends ? ends[b + 1] - ends[b] - 1 : m;
    linkage(at<const Size>(edges) + 2 * first, at<const Real>(heights) + first, count,
            ends ? ends[b] : 0, at<Real>(rows) + 4 * first);
  });
}

// Trees (bags, m, 2) both.
void exchange(Size inner, Size outer, Size bags, Size m, Size replaced, int threads) {
  const double steps = 64 * double(bags) * double(m);
  for_each<Exchange>(bags, threads, steps, [&](Exchange& trees, Size b) {
    trees(at<const Size>(inner) + 2 * b * m, at<const Size>(outer) + 2 * b * m, m,
          at<Size>(replaced) + b * m);
  });
}

// Ascending doubles (bags, m_a) and (bags, m_b): of each the address, and its m.
void matching(const Numbers<2>& a, const Numbers<2>& b, Size bags, double p, Size of_a, Size of_b,
              int threads) {
  const Size m_a = a[1], m_b = b[1];
  const double steps = double(bags) * double(m_a) * double(m_b);
  for_each<Matching>(bags, threads, steps, [&](Matching& match, Size k) {
    match(at<const double>(a[0]) + k * m_a, m_a, at<const double>(b[0]) + k * m_b, m_b, p,
          at<Size>(of_a) + k * m_a, at<Size>(of_b) + k * m_b);
  });
}

}  // namespace

void bind_measures(py::module_& m) {
  using namespace py::literals;
  m.def(
      "single_linkage",
      [](bool doubles, Size edges, Size heights, Size bags, Size m, Size cu_seqlens, Size rows,
         int threads) {
        (doubles ? single_linkage<double> : single_linkage<float>)(edges, heights, bags, m,
                                                                   cu_seqlens, rows, threads);
      },
      "doubles"_a, "edges"_a, "heights"_a, "bags"_a, "m"_a, "cu_seqlens"_a, "rows"_a, "threads"_a);
  m.def("tree_exchange", &exchange, "inner"_a, "outer"_a, "bags"_a, "m"_a, "replaced"_a,
        "threads"_a);
  m.def("matching", &matching, "a"_a, "b"_a, "bags"_a, "p"_a, "of_a"_a, "of_b"_a, "threads"_a);
}

}  // namespace torchtopo
