// The kernels on the host, for ctypes: the functions of csrc/cuda/batch.hpp with C linkage.
#include <string>

#include "cuda_on_host.hpp"
#include "batch.hpp"
#include "segments.cuh"

using namespace torchtopo;
using namespace torchtopo::cuda;

namespace {

std::string message;

template <class Body>
int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    message = error.what();
    return 1;
  }
}

}  // namespace

extern "C" {

const char* last_error() { return message.c_str(); }

void set_schedule(int schedule, unsigned seed) {
  cuda_on_host::machine.schedule = cuda_on_host::Schedule(schedule);
  cuda_on_host::machine.random.seed(seed);
}

std::int64_t launches() { return cuda_on_host::machine.launches; }
std::int64_t switches() { return cuda_on_host::machine.switches; }
std::int64_t last_switches() {
  return cuda_on_host::machine.switches - cuda_on_host::machine.before_last;
}

std::int64_t last_threads() {
  return std::int64_t(cuda_on_host::machine.grid_size.x) * cuda_on_host::machine.block_size.x;
}

void set_most_segment_bytes(std::int64_t bytes) { most_segment_bytes = bytes; }

// From now on `count` floats at `data` change whenever a block waits; null: no longer.
void overwrite(float* data, std::int64_t count) {
  if (!data) {
    cuda_on_host::machine.meanwhile = nullptr;
    return;
  }
  cuda_on_host::machine.meanwhile = [=] {
    for (std::int64_t k = 0; k < count; ++k) data[k] = float(cuda_on_host::machine.random() % 1000);
  };
}

int host_trees(const void* data, int dtype, int metric, std::int64_t count, std::int64_t n,
               std::int64_t rows, std::int64_t d, const std::int64_t* lengths,
               const std::int64_t* cu_seqlens, int plan, std::int64_t* edges, void* weights) {
  return guarded([&] {
    const AnySpace space = {data, dtype, d, Metric(metric)};
    const Bags bags = {count, n, lengths, cu_seqlens, rows};
    const std::size_t bytes = trees_workspace(space, bags, Plan(plan));
    std::unique_ptr<unsigned char[]> workspace(new unsigned char[bytes]);
    std::memset(workspace.get(), 0x5a, bytes);
    trees(space, bags, Plan(plan), edges, weights, workspace.get(), nullptr);
  });
}

int host_elder_rule(const std::int64_t* edges, std::int64_t bags, std::int64_t m, std::int64_t n,
                    std::int64_t* dying) {
  return guarded([&] {
    const std::size_t bytes = elder_rule_workspace(bags, n);
    std::unique_ptr<unsigned char[]> workspace(new unsigned char[bytes]);
    elder_rule(edges, bags, m, n, dying, workspace.get(), nullptr);
  });
}

int host_pair_lengths(const void* points, int dtype, int metric, std::int64_t count, std::int64_t n,
                      std::int64_t d, const std::int64_t* pairs, std::int64_t m, void* lengths) {
  return guarded([&] {
    const AnySpace space = {points, dtype, d, Metric(metric)};
    const Bags bags = {count, n, nullptr, nullptr, count * n};
    pair_lengths(space, bags, pairs, m, lengths, nullptr);
  });
}

int host_farthest_pairs(const void* points, int dtype, int metric, std::int64_t count,
                        std::int64_t n, std::int64_t d, std::int64_t* pairs) {
  return guarded([&] {
    const AnySpace space = {points, dtype, d, Metric(metric)};
    const Bags bags = {count, n, nullptr, nullptr, count * n};
    const std::size_t bytes = farthest_pairs_workspace(bags, 1);
    std::unique_ptr<unsigned char[]> workspace(new unsigned char[bytes]);
    farthest_pairs({space, pairs, nullptr, 0}, {space, nullptr, nullptr, 0}, bags, workspace.get(),
                   nullptr);
  });
}

// Every gradient is asked for.
int host_signature_step(const void* x, int dtype_x, int metric_x, std::int64_t d_x, const void* z,
                        int dtype_z, int metric_z, std::int64_t d_z, std::int64_t count,
                        std::int64_t n, const std::int64_t* lengths, const std::int64_t* pairs_x,
                        std::int64_t* pairs, void* a, void* b, void* losses, void* gradient_x,
                        void* gradient_z) {
  return guarded([&] {
    const Each by_one = {nullptr, 0, 0, 1.0};
    const AnySpace in_x = {x, dtype_x, d_x, Metric(metric_x)};
    const AnySpace in_z = {z, dtype_z, d_z, Metric(metric_z)};
    const Bags bags = {count, n, lengths, nullptr, count * n};
    const std::size_t bytes = signature_step_workspace(in_z, bags);
    std::unique_ptr<unsigned char[]> workspace(new unsigned char[bytes]);
    std::memset(workspace.get(), 0x5a, bytes);
    signature_step({{in_x, by_one, a, gradient_x, nullptr},
                    {in_z, by_one, b, gradient_z, nullptr},
                    bags,
                    pairs_x,
                    {{nullptr, 0, 0, 2.0}},
                    pairs,
                    losses},
                   workspace.get(), nullptr);
  });
}

int host_check(int error) {
  return guarded([&] { check(cudaError_t(error), "launching a kernel"); });
}

int host_set_device(int device) {
  return guarded([&] { set_device(device); });
}
}
