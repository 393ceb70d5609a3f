// Where a bag is better served without its matrix of distances: all kernels over N and D, one
// thread, the fastest of several runs. `make -C tests/cpp crossover` builds and runs it; the rule
// that follows is the table in csrc/cpu/plan.hpp.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "cpu/plan.hpp"

using namespace torchtopo;

namespace {

template <class Call>
double fastest_ms(Call call) {
  using Clock = std::chrono::steady_clock;
  const auto once = [&] {
    const auto start = Clock::now();
    call();
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  double best = once();
  const int more = int(std::clamp(200 / best, 2.0, 200.0));
  for (int run = 0; run < more; ++run) best = std::min(best, once());
  return best;
}

}  // namespace

int main() {
  std::mt19937 random(0);
  std::normal_distribution<float> normal;
  std::printf("%s\n     N    D", instruction_set().name);
  for (const Way<float>& way : ways<float>) std::printf(" %12s ms", way.name);
  std::printf("  chosen\n");
  for (const int n : {256, 512, 1024, 4096, 8192, 16384, 70000})
    for (const int d : {2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 96, 128, 512, 1024}) {
      if (n > 16384 && d > 64) continue;
      std::vector<float> points(std::size_t(n) * std::size_t(d));
      for (float& x : points) x = normal(random);
      std::vector<Edge<float>> tree(static_cast<std::size_t>(n));
      Scratch scratch;
      const auto time = [&](auto kernel) {
        return fastest_ms([&] {
          scratch.reset();
          kernel(points.data(), n, d, Metric::euclidean, scratch, Team(1), tree.data());
        });
      };
      const Kernels<float>& kernels = instruction_set().for_float;
      std::printf("%6d %4d", n, d);
      for (const Way<float>& way : ways<float>) {
        const bool matrix = way.plan == Plan::tiled || way.plan == Plan::codes;
        const bool hopeless = matrix ? n > 16384
                              : way.plan == Plan::segments
                                  ? false
                                  : d > (way.plan == Plan::boxes ? 12 : 96) || n * d > 1 << 21;
        std::printf(" %15.4f", hopeless ? 0.0 : time(kernels.*way.kernel));
      }
      std::printf("  %s\n", way_of<float>(plan_of(n, d)).name);
    }
}
