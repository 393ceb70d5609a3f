// What an instruction set is to the kernels: ISA, its name and the namespace in which they are
// compiled for it; BYTES, the size of its vectors; ROWS x COLUMNS (vectors), the register tile that
// its registers can hold; ADDS_DOT_PAIRS, where it multiplies and adds 16-bit numbers in one
// instruction; SIGNS_AT_ONCE, the bytes of a vector the signs of whose lanes one instruction
// gathers.
//
// Compiled once for each instruction set (see kernels.hpp). A header that is opened alone, as by an
// editor, sees the baseline.
#pragma once

#ifndef ISA
#define ISA baseline
#define BYTES 16
#define ROWS 6
#define COLUMNS 2
#endif

namespace torchtopo::ISA {

template <class Real>
constexpr int W = BYTES / int(sizeof(Real));

}  // namespace torchtopo::ISA
