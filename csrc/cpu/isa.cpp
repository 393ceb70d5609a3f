// The instruction sets that kernels are compiled for, each in a file of its own: they take the
// compiler minutes, which several cores share.
#include "isa.hpp"

namespace torchtopo {

std::vector<const InstructionSet*> instruction_sets() {
  std::vector<const InstructionSet*> sets = {&baseline_set};
#if TORCHTOPO_X86
  for (const InstructionSet* set : {&avx2_set, &avx512_set, &avx512vl_set})
    if (set->available()) sets.push_back(set);
#endif
  return sets;
}

}  // namespace torchtopo
