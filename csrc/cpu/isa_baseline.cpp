// The kernels for every processor of an architecture.
#include "any_isa.hpp"

#define ISA baseline
#if defined(TORCHTOPO_WIDE_BASELINE)  // tests: the widest vectors' logic on any processor
#define BYTES 64
#define ROWS 8
#else
#define BYTES 16
#define ROWS 6
#endif
#define COLUMNS 2
#include "each_isa/kernels.hpp"

namespace torchtopo {

constexpr InstructionSet baseline_set = {"baseline", [] { return true; }, multiplies_pairs,
                                         baseline::kernels<float>(), baseline::kernels<double>()};

}  // namespace torchtopo
