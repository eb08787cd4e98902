/* SPDX-License-Identifier: MIT */
/* Which rows test_native.c compares with the host CPU. All others need a test of their own:
 * test_coverage.c. */
#ifndef TESTS_ISA_COMPARABLE_H
#define TESTS_ISA_COMPARABLE_H

#include "cpu/encoding.h"
#include "cpu/engine.h"

#include <string.h>

/* clang-format off */
struct exception_row {
    const char *name, *reason;
};

/* Rows that cannot be compared in this way. */
static const struct exception_row skipped[] = {
    {"fnstenv", "stores instruction pointers, which no two CPUs keep alike"},
    {"fnsave", "as fnstenv"}, {"fldenv", "as fnstenv"}, {"frstor", "as fnstenv"},
    {"fxsave", "as fnstenv"}, {"fxsave64", "as fnstenv"}, {"fxrstor", "as fnstenv"}, {"fxrstor64", "as fnstenv"},
    {"xsave", "as fnstenv"}, {"xsave64", "as fnstenv"}, {"xsavec", "as fnstenv"}, {"xsavec64", "as fnstenv"}, {"xsaveopt", "as fnstenv"}, {"xsaveopt64", "as fnstenv"},
    {"xsaves", "privileged"}, {"xsaves64", "privileged"}, {"xrstor", "as fnstenv"}, {"xrstor64", "as fnstenv"}, {"xrstors", "privileged"}, {"xrstors64", "privileged"},
    {"syscall", "goes to the host's kernel"}, {"sysenter", "goes to the host's kernel"},
    {"int", "goes to the host's kernel"}, {"int3", "goes to the host's kernel"},
    {"int1", "goes to the host's kernel"}, {"icebp", "goes to the host's kernel"},
    {"iret", "a mode change"},
    {"popf", "TF and AC would disturb the test"}, {"pushf", "ID and IOPL are the host's"},
    {"rdtsc", "time"}, {"rdtscp", "time"}, {"rdpru", "time"},
    {"rdrand", "random"}, {"rdseed", "random"}, {"cpuid", "the host's"}, {"xgetbv", "the host's"},
    {"rdpid", "the host's"}, {"rdpkru", "the host's"}, {"wrpkru", "the host's"},
    {"rdfsbase", "the host's"}, {"rdgsbase", "the host's"},
    {"wrfsbase", "the host's thread pointer"}, {"wrgsbase", "the host's"},
    {"lar", "the host's descriptors"}, {"lsl", "the host's descriptors"},
    {"verr", "the host's descriptors"}, {"verw", "the host's descriptors"},
    {"sgdt", "the host's"}, {"sidt", "the host's"}, {"sldt", "the host's"}, {"str", "the host's"},
    {"smsw", "the host's"}, {"monitor", "a sleep"}, {"mwait", "a sleep"}, {"umwait", "a sleep"},
    {"les", "the host's descriptors"},
    {"lds", "the host's descriptors"},
    {"lss", "the host's descriptors"}, {"lfs", "the host's descriptors"},
    {"lgs", "the host's descriptors"}, {"hlt", "privileged"}, {"vmcall", "virtualization"},
    {"vmmcall", "virtualization"}, {"ud0", "always #UD"}, {"ud1", "always #UD"},
    {"ud2", "always #UD"}, {"clflush", "no effect"}, {"xabort", "no RTM here"},
};
/* clang-format on */

/* In 64-bit code (wide) or in 32-bit code. */
static bool testable(const struct row *row, bool wide)
{
    if (!(row->accept & (wide ? ACCEPT_64 : ACCEPT_LEGACY)) ||
        (row->def.attr & (CPL0 | IO | BRANCH)))
        return false;
    if (!wide && !(row->accept & ACCEPT_W0) &&
        (!(row->flags & ROW_VEX) || (row->flags & ROW_W_SIZE)))
        return false; /* needs REX.W */
    if (row->map == MAP_0F && (row->opcode & 0xf6) == 0xa0)
        return false; /* PUSH and POP of FS and GS: the host's selectors */
    if (row->map == MAP_ONE && (row->opcode & 0xe6) == 0x06 && (row->opcode & 7) >= 6)
        return false; /* of ES, CS, SS, DS */
    for (unsigned i = 0; i < row->count; i++) {
        const u8 kind = row->operand[i].kind;

        if (kind == OPERAND_SEG || kind == OPERAND_CR || kind == OPERAND_DR)
            return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(skipped); i++) {
        if (strcmp(skipped[i].name, row->def.name) == 0)
            return false;
    }
    return true;
}

#endif
