// Which instruction set is used: the one that TORCHTOPO_ISA names, else the quickest.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "isa.hpp"

namespace torchtopo {
namespace {

std::atomic<const InstructionSet*> chosen{nullptr};

const InstructionSet& named(const std::string& name, const std::string& who) {
  std::string there;
  for (const InstructionSet* set : instruction_sets()) {
    if (set->name == name) return *set;
    there += (there.empty() ? "" : ", ") + std::string(set->name);
  }
  throw std::invalid_argument(who + " names no instruction set of this processor: '" + name +
                              "' is not one of " + there);
}

// Seconds for the tree of a small cloud in many dimensions, nearly all of them spent on distances.
double seconds_of(const InstructionSet& set) {
  constexpr int n = 192, d = 128;
  std::vector<float> points(std::size_t(n) * d);
  for (std::size_t k = 0; k < points.size(); ++k) points[k] = float(k * 2654435761u % 1009);
  std::vector<Edge<float>> tree(n);
  Scratch scratch;
  using Clock = std::chrono::steady_clock;
  double best = 1;
  for (int run = 0; run < 5; ++run) {  // the first of them warms up
    scratch.reset();
    const auto start = Clock::now();
    set.for_float.prim_tiled(points.data(), n, d, Metric::euclidean, scratch, Team(1), tree.data());
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Vectors wider than the baseline's, timed, where there is a choice between them.
std::vector<IsaTime> timed() {
  std::vector<IsaTime> times;
  const auto sets = instruction_sets();
  for (std::size_t k = 1; k < sets.size() && sets.size() > 2; ++k)
    times.push_back({sets[k], seconds_of(*sets[k])});
  return times;
}

}  // namespace

const std::vector<IsaTime>& isa_times() {
  static const std::vector<IsaTime> times = timed();
  return times;
}

const InstructionSet* quickest(const std::vector<IsaTime>& times) {
  IsaTime best = times.back();
  for (auto other = times.rbegin(); other != times.rend(); ++other)
    if (other->seconds < 0.9 * best.seconds) best = *other;
  return best.set;
}

const InstructionSet& instruction_set() {
  const InstructionSet* set = chosen.load(std::memory_order_relaxed);
  if (set) return *set;
  const char* name = std::getenv("TORCHTOPO_ISA");
  if (name && *name)
    set = &named(name, "TORCHTOPO_ISA");
  else
    set = isa_times().empty() ? instruction_sets().back() : quickest(isa_times());
  chosen.store(set, std::memory_order_relaxed);
  return *set;
}

void set_instruction_set(const std::string& name) {
  chosen.store(&named(name, "set_isa"), std::memory_order_relaxed);
}

}  // namespace torchtopo
