// What measures add to the Python module: addresses and sizes in, nothing of torch.
#include "measures.hpp"

#include <algorithm>
#include <vector>

#include "cpu/exchange.hpp"
#include "cpu/matching.hpp"
#include "cpu/pool.hpp"
#include "cpu/single_linkage.hpp"

namespace py = pybind11;

namespace torchtopo {
namespace {

using Address = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// Calls work(state, b) for every bag, each thread with its own state; `steps` is the work of all.
template <class State, class Work>
void for_each(Size bags, int threads, double steps, Work work) {
  py::gil_scoped_release other_threads_may_run;
  const int workers = int(std::max(1.0, std::min(double(threads), steps / 20000)));
  std::vector<State> states(static_cast<std::size_t>(workers));
  parallel_for(bags, workers, [&](int worker, Size b) { work(states[std::size_t(worker)], b); });
}

// Trees (bags, m, 2), or packed, that of bag b in the rows from cu_seqlens[b] - b.
void single_linkage(Address edges, Size bags, Size m, Address cu_seqlens, Address merges,
                    int threads) {
  const Size* ends = at<const Size>(cu_seqlens);
  const double steps = 16 * (ends ? double(ends[bags]) : double(bags) * double(m));
  for_each<Merges>(bags, threads, steps, [&](Merges& linkage, Size b) {
    const Size first = ends ? ends[b] - b : b * m;
    const Size count = ends ? ends[b + 1] - ends[b] - 1 : m;
    linkage(at<const Size>(edges) + 2 * first, count, ends ? ends[b] : 0,
            at<Size>(merges) + 3 * first);
  });
}

// Trees (bags, m, 2) both.
void exchange(Address inner, Address outer, Size bags, Size m, Address replaced, int threads) {
  const double steps = 64 * double(bags) * double(m);
  for_each<Exchange>(bags, threads, steps, [&](Exchange& trees, Size b) {
    trees(at<const Size>(inner) + 2 * b * m, at<const Size>(outer) + 2 * b * m, m,
          at<Size>(replaced) + b * m);
  });
}

// Ascending doubles (bags, m_a) and (bags, m_b).
void matching(Address a, Address b, Size bags, Size m_a, Size m_b, double p, Address of_a,
              Address of_b, int threads) {
  const double steps = double(bags) * double(m_a) * double(m_b);
  for_each<Matching>(bags, threads, steps, [&](Matching& match, Size k) {
    match(at<const double>(a) + k * m_a, m_a, at<const double>(b) + k * m_b, m_b, p,
          at<Size>(of_a) + k * m_a, at<Size>(of_b) + k * m_b);
  });
}

}  // namespace

void bind_measures(py::module_& m) {
  m.def("single_linkage", &single_linkage);
  m.def("exchange", &exchange);
  m.def("matching", &matching);
}

}  // namespace torchtopo
