// Where a bag is better served without its matrix of distances: all kernels over N and D, float32
// and float64, one thread, in turn, the fastest of several rounds. `make -C tests/cpp crossover`
// builds and runs it; the rule that follows is the table in csrc/cpu/plan.hpp. `build/cpp/crossover
// CLOUD N D ...` tries clouds of one kind: gaussian; clusters, 20 of a tenth of the cloud's width;
// tails, Student's t of 3 degrees; copies, each point 8 times.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "cpu/plan.hpp"

using namespace torchtopo;

namespace {

double milliseconds(const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

using Points = std::vector<float>;

// n points of d numbers that are drawn one by one.
Points drawn(int n, int d, const std::function<float()>& draw) {
  Points points(std::size_t(n) * std::size_t(d));
  for (float& x : points) x = draw();
  return points;
}

// Each point near another one of some.
Points around(const Points& some, int n, int d, float scale, const std::function<float()>& draw) {
  Points points = drawn(n, d, draw);
  for (std::size_t k = 0; k < points.size(); ++k)
    points[k] = scale * points[k] + some[k % some.size()];
  return points;
}

Points cloud(const std::string& kind, int n, int d) {
  static std::mt19937 random(0);
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student(3);
  const auto gaussian = [&] { return normal(random); };
  if (kind == "clusters") return around(drawn(20, d, gaussian), n, d, 0.1f, gaussian);
  if (kind == "copies") return around(drawn(n / 8, d, gaussian), n, d, 0, gaussian);
  if (kind == "tails") return drawn(n, d, [&] { return student(random); });
  if (kind == "gaussian") return drawn(n, d, gaussian);
  std::fprintf(stderr, "clouds are gaussian, clusters, copies or tails, not %s\n", kind.c_str());
  std::exit(2);
}

// Whether a kernel could be the quickest; others would take minutes or gigabytes.
bool worth_trying(Plan plan, int n, int d) {
  switch (plan) {
    case Plan::tiled:
    case Plan::codes:
      return n <= 16384;
    case Plan::boxes:
      return d <= 12;
    case Plan::matrix_free:
    case Plan::coarse:
      return d <= 96 && n * d <= 1 << 21;
    case Plan::segments:
      return true;
  }
  return false;
}

// All kernels in turn, for the machine's pace changes; the fastest of each.
template <class Real>
void time_all(const std::string& kind, int n, int d) {
  const Points drawn = cloud(kind, n, d);
  const std::vector<Real> points(drawn.begin(), drawn.end());
  std::vector<Edge<Real>> tree(static_cast<std::size_t>(n));
  Scratch scratch;
  const Kernels<Real>& kernels = instruction_set().kernels<Real>();
  std::array<double, std::size(ways<Real>)> best{};
  double spent = 0;
  for (int round = 0; round < 3 || (spent < 1000 && round < 200); ++round)
    for (std::size_t k = 0; k < best.size(); ++k) {
      const Way<Real>& way = ways<Real>[k];
      if (!worth_trying(way.plan, n, d)) continue;
      const double ms = milliseconds([&] {
        scratch.reset();
        (kernels.*way.kernel)(points.data(), n, d, Metric::euclidean, scratch, Team(1),
                              tree.data());
      });
      best[k] = round == 0 ? ms : std::min(best[k], ms);
      spent += ms;
    }
  std::printf("%6d %4d", n, d);
  for (const double ms : best) std::printf(" %15.4f", ms);
  std::printf("  %s\n", way_of<Real>(plan_of<Real>(n, d)).name);
  std::fflush(stdout);
}

template <class Real>
void time_sizes(int argc, char** argv) {
  std::printf("%s, float%zu\n     N    D", instruction_set().name, 8 * sizeof(Real));
  for (const Way<Real>& way : ways<Real>) std::printf(" %12s ms", way.name);
  std::printf("  chosen\n");
  for (int k = 2; k + 1 < argc; k += 2)
    time_all<Real>(argv[1], std::atoi(argv[k]), std::atoi(argv[k + 1]));
  if (argc > 1) return;
  for (const int n : {64, 128, 256, 512, 1024, 4096, 8192, 16384, 70000})
    for (const int d : {2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 96, 128, 512, 1024})
      if (n <= 16384 || d <= 64) time_all<Real>("gaussian", n, d);
}

}  // namespace

int main(int argc, char** argv) {
  time_sizes<float>(argc, argv);
  time_sizes<double>(argc, argv);
}
