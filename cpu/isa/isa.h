/* SPDX-License-Identifier: MIT */
/*
 * The list of instruction families, the only one. Each family file has semantics and handlers on
 * top and its rows at the bottom: `const struct insn_def isa_<family>[]`, closed by an all-zero
 * row.
 */
#ifndef CPU_ISA_ISA_H
#define CPU_ISA_ISA_H

#include "cpu/insn.h"

/* clang-format off */
#define ISA_FAMILIES(X) \
    X(arith) X(logic) X(shift) X(bits) X(mul) X(bcd) X(move) X(stack) X(string) X(branch) \
    X(far) X(io) X(system) X(sysinfo) X(state) X(vmx) X(svm) \
    X(x87) X(x87_move) X(x87_control) X(x87_math) \
    X(mmx) X(sse_move) X(sse_int) X(sse_str) X(sse_fp) X(sse_fp_convert) X(sse_fp_more) \
    X(crypto) X(avx_int) X(avx_move) X(avx_perm) X(avx_fp)
/* clang-format on */

#define ISA_DECLARE(family) extern const struct insn_def isa_##family[];
ISA_FAMILIES(ISA_DECLARE)
#undef ISA_DECLARE

#endif
