/* SPDX-License-Identifier: MIT */
/* Exit codes: APM Vol 2 appendix C, with what each reports. Only what is built. */
#include "cpu/svm/exits.h"

#include "cpu/svm/svm.h"

#define GPR "bits 3:0 the register (decode assists)"
#define MOV_GPR "of MOV: bit 63 set, bits 3:0 the register (decode assists)"

/* clang-format off */
const struct svm_exit_row svm_exits[] = {
    {SVM_EXIT_CR_READ, 16, "CR0_READ", MOV_GPR, NULL, "APM Vol 2 15.8.1"},
    {SVM_EXIT_CR_WRITE, 16, "CR0_WRITE", MOV_GPR, NULL, "APM Vol 2 15.8.1"},
    {SVM_EXIT_DR_READ, 16, "DR0_READ", GPR, NULL, "APM Vol 2 15.8.2"},
    {SVM_EXIT_DR_WRITE, 16, "DR0_WRITE", GPR, NULL, "APM Vol 2 15.8.2"},
    {SVM_EXIT_EXCEPTION, 32, "EXCP0", "error code", "of #PF: the address", "APM Vol 2 15.12"},
    {SVM_EXIT_INTR, 1, "INTR", NULL, NULL, "APM Vol 2 15.13.1"},
    {SVM_EXIT_NMI, 1, "NMI", NULL, NULL, "APM Vol 2 15.13.2"},
    {SVM_EXIT_SMI, 1, "SMI", "1: from outside the processor", NULL, "APM Vol 2 15.13.3"},
    {SVM_EXIT_INIT, 1, "INIT", NULL, NULL, "APM Vol 2 15.13.4"},
    {SVM_EXIT_VINTR, 1, "VINTR", NULL, NULL, "APM Vol 2 15.13.5"},
    {SVM_EXIT_CR0_SEL_WRITE, 1, "CR0_SEL_WRITE", MOV_GPR, NULL, "APM Vol 2 15.8.1"},
    {SVM_EXIT_IDTR_READ, 1, "IDTR_READ", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_GDTR_READ, 1, "GDTR_READ", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_LDTR_READ, 1, "LDTR_READ", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_TR_READ, 1, "TR_READ", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_IDTR_WRITE, 1, "IDTR_WRITE", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_GDTR_WRITE, 1, "GDTR_WRITE", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_LDTR_WRITE, 1, "LDTR_WRITE", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_TR_WRITE, 1, "TR_WRITE", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_RDTSC, 1, "RDTSC", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_RDPMC, 1, "RDPMC", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_PUSHF, 1, "PUSHF", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_POPF, 1, "POPF", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_CPUID, 1, "CPUID", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_RSM, 1, "RSM", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_IRET, 1, "IRET", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_SWINT, 1, "SWINT", "bits 7:0 the vector (decode assists)", NULL, "APM Vol 2 15.8.3"},
    {SVM_EXIT_INVD, 1, "INVD", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_PAUSE, 1, "PAUSE", NULL, NULL, "APM Vol 2 15.14.4"},
    {SVM_EXIT_HLT, 1, "HLT", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_INVLPG, 1, "INVLPG", "the address (decode assists)", NULL, "APM Vol 2 15.8.3"},
    {SVM_EXIT_INVLPGA, 1, "INVLPGA", NULL, NULL, "APM Vol 2 15.8.3"},
    {SVM_EXIT_IOIO, 1, "IOIO", "IN 0, string 2, REP 3, operand size 6:4, address size 9:7, segment 12:10 (decode assists), port 31:16", "rIP of the next instruction", "APM Vol 2 15.10.2"},
    {SVM_EXIT_MSR, 1, "MSR", "1 for WRMSR", NULL, "APM Vol 2 15.11"},
    {SVM_EXIT_TASK_SWITCH, 1, "TASK_SWITCH", "bits 15:0 the TSS selector", "error code 31:0, IRET 36, JMP 38, error code valid 44, RFLAGS.RF 48", "APM Vol 2 15.14.1"},
    {SVM_EXIT_SHUTDOWN, 1, "SHUTDOWN", NULL, NULL, "APM Vol 2 15.14.3"},
    {SVM_EXIT_VMRUN, 1, "VMRUN", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_VMMCALL, 1, "VMMCALL", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_VMLOAD, 1, "VMLOAD", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_VMSAVE, 1, "VMSAVE", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_STGI, 1, "STGI", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_CLGI, 1, "CLGI", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_RDTSCP, 1, "RDTSCP", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_ICEBP, 1, "ICEBP", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_WBINVD, 1, "WBINVD", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_MONITOR, 1, "MONITOR", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_MWAIT, 1, "MWAIT", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_MWAIT_ARMED, 1, "MWAIT_CONDITIONAL", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_XSETBV, 1, "XSETBV", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_RDPRU, 1, "RDPRU", NULL, NULL, "APM Vol 2 15.9"},
    {SVM_EXIT_INVPCID, 1, "INVPCID", "the descriptor's address", "the type", "APM Vol 2 15.9"},
    {SVM_EXIT_NPF, 1, "NPF", "error code; bit 32 the final address, bit 33 a guest's table", "the nested-physical address", "APM Vol 2 15.25.6"},
    {(u32)SVM_EXIT_INVALID, 1, "INVALID", NULL, NULL, "APM Vol 2 15.5.1"},
};
/* clang-format on */
const u32 svm_exits_count = ARRAY_SIZE(svm_exits);

const struct svm_exit_row *svm_exit_find(u32 code)
{
    for (u32 i = 0; i < svm_exits_count; i++) {
        if (code - svm_exits[i].code < svm_exits[i].count)
            return &svm_exits[i];
    }
    return NULL;
}
