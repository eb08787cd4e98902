/* SPDX-License-Identifier: MIT */
/* The fields of the VMCB: APM Vol 2 tables B-1 and B-2. Only what is built. */
#include "cpu/svm/fields.h"

#include "base/bits.h"
#include "cpu/svm/vmcb.h"

#define CONTROL(offset, member, name, ref)                                                         \
    {                                                                                              \
        offset, (u16)offsetof(struct vmcb_control, member),                                        \
            (u16)sizeof(((struct vmcb_control *)0)->member), name, ref                             \
    }
#define SAVE(offset, member, name, ref)                                                            \
    {                                                                                              \
        offset, (u16)(VMCB_SAVE + offsetof(struct vmcb_save, member)),                             \
            (u16)sizeof(((struct vmcb_save *)0)->member), name, ref                                \
    }

/* clang-format off */
const struct vmcb_field vmcb_fields[] = {
    CONTROL(0x000, intercept[0], "intercept of CR reads and writes", "APM Vol 2 15.8.1"),
    CONTROL(0x004, intercept[1], "intercept of DR reads and writes", "APM Vol 2 15.8.2"),
    CONTROL(0x008, intercept[2], "intercept of exceptions", "APM Vol 2 15.12"),
    CONTROL(0x00c, intercept[3], "intercept word 3", "APM Vol 2 15.9"),
    CONTROL(0x010, intercept[4], "intercept word 4", "APM Vol 2 15.9"),
    CONTROL(0x014, intercept[5], "intercept word 5", "APM Vol 2 15.9"),
    CONTROL(0x03c, pause_threshold, "PAUSE filter threshold", "APM Vol 2 15.14.4"),
    CONTROL(0x03e, pause_count, "PAUSE filter count", "APM Vol 2 15.14.4"),
    CONTROL(0x040, iopm_base, "IOPM_BASE_PA", "APM Vol 2 15.10.1"),
    CONTROL(0x048, msrpm_base, "MSRPM_BASE_PA", "APM Vol 2 15.11"),
    CONTROL(0x050, tsc_offset, "TSC_OFFSET", "APM Vol 2 15.5.1"),
    CONTROL(0x058, asid, "guest ASID", "APM Vol 2 15.16"),
    CONTROL(0x05c, tlb_control, "TLB_CONTROL", "APM Vol 2 15.16.2"),
    CONTROL(0x060, vintr, "V_TPR, V_IRQ, V_GIF, V_NMI and their controls", "APM Vol 2 15.21"),
    CONTROL(0x064, vintr_vector, "V_INTR_VECTOR", "APM Vol 2 15.21.4"),
    CONTROL(0x068, interrupt_state, "INTERRUPT_SHADOW, GUEST_INTERRUPT_MASK", "APM Vol 2 15.21.5"),
    CONTROL(0x070, exit_code, "EXITCODE", "APM Vol 2 15.6"),
    CONTROL(0x078, exit_info1, "EXITINFO1", "APM Vol 2 15.6"),
    CONTROL(0x080, exit_info2, "EXITINFO2", "APM Vol 2 15.6"),
    CONTROL(0x088, exit_int_info, "EXITINTINFO", "APM Vol 2 15.7.2"),
    CONTROL(0x08c, exit_int_error, "EXITINTINFO error code", "APM Vol 2 15.7.2"),
    CONTROL(0x090, np_control, "NP_ENABLE, guest mode execute trap", "APM Vol 2 15.25.3, 15.25.13"),
    CONTROL(0x0a8, event_inj, "EVENTINJ", "APM Vol 2 15.20"),
    CONTROL(0x0ac, event_inj_error, "EVENTINJ error code", "APM Vol 2 15.20"),
    CONTROL(0x0b0, ncr3, "N_CR3", "APM Vol 2 15.25.3"),
    CONTROL(0x0b8, virt_ext, "LBR virtualization, virtual VMSAVE and VMLOAD", "APM Vol 2 15.23, 15.33"),
    CONTROL(0x0c0, clean, "VMCB clean bits", "APM Vol 2 15.15"),
    CONTROL(0x0c8, next_rip, "nRIP", "APM Vol 2 15.7.1"),
    CONTROL(0x0d0, bytes_fetched, "number of bytes fetched", "APM Vol 2 15.8.4"),
    CONTROL(0x0d1, bytes, "guest instruction bytes", "APM Vol 2 15.8.4"),
    SAVE(0x400, es, "ES", "APM Vol 2 table B-2"),
    SAVE(0x410, cs, "CS", "APM Vol 2 table B-2"),
    SAVE(0x420, ss, "SS", "APM Vol 2 table B-2"),
    SAVE(0x430, ds, "DS", "APM Vol 2 table B-2"),
    SAVE(0x440, fs, "FS", "APM Vol 2 table B-2"),
    SAVE(0x450, gs, "GS", "APM Vol 2 table B-2"),
    SAVE(0x460, gdtr, "GDTR", "APM Vol 2 table B-2"),
    SAVE(0x470, ldtr, "LDTR", "APM Vol 2 table B-2"),
    SAVE(0x480, idtr, "IDTR", "APM Vol 2 table B-2"),
    SAVE(0x490, tr, "TR", "APM Vol 2 table B-2"),
    SAVE(0x4cb, cpl, "CPL", "APM Vol 2 table B-2"),
    SAVE(0x4d0, efer, "EFER", "APM Vol 2 table B-2"),
    SAVE(0x548, cr4, "CR4", "APM Vol 2 table B-2"),
    SAVE(0x550, cr3, "CR3", "APM Vol 2 table B-2"),
    SAVE(0x558, cr0, "CR0", "APM Vol 2 table B-2"),
    SAVE(0x560, dr7, "DR7", "APM Vol 2 table B-2"),
    SAVE(0x568, dr6, "DR6", "APM Vol 2 table B-2"),
    SAVE(0x570, rflags, "RFLAGS", "APM Vol 2 table B-2"),
    SAVE(0x578, rip, "RIP", "APM Vol 2 table B-2"),
    SAVE(0x5d8, rsp, "RSP", "APM Vol 2 table B-2"),
    SAVE(0x5f8, rax, "RAX", "APM Vol 2 table B-2"),
    SAVE(0x600, star, "STAR", "APM Vol 2 table B-2"),
    SAVE(0x608, lstar, "LSTAR", "APM Vol 2 table B-2"),
    SAVE(0x610, cstar, "CSTAR", "APM Vol 2 table B-2"),
    SAVE(0x618, sfmask, "SFMASK", "APM Vol 2 table B-2"),
    SAVE(0x620, kernel_gs_base, "KernelGsBase", "APM Vol 2 table B-2"),
    SAVE(0x628, sysenter_cs, "SYSENTER_CS", "APM Vol 2 table B-2"),
    SAVE(0x630, sysenter_esp, "SYSENTER_ESP", "APM Vol 2 table B-2"),
    SAVE(0x638, sysenter_eip, "SYSENTER_EIP", "APM Vol 2 table B-2"),
    SAVE(0x640, cr2, "CR2", "APM Vol 2 table B-2"),
    SAVE(0x668, g_pat, "G_PAT", "APM Vol 2 15.25.8"),
    SAVE(0x670, debugctl, "DBGCTL", "APM Vol 2 15.23"),
    SAVE(0x678, branch_from, "BR_FROM", "APM Vol 2 15.23"),
    SAVE(0x680, branch_to, "BR_TO", "APM Vol 2 15.23"),
    SAVE(0x688, int_from, "LASTEXCPFROM", "APM Vol 2 15.23"),
    SAVE(0x690, int_to, "LASTEXCPTO", "APM Vol 2 15.23"),
};
/* clang-format on */
const u32 vmcb_fields_count = ARRAY_SIZE(vmcb_fields);

const struct vmcb_field *vmcb_field_find(u16 offset)
{
    for (u32 i = 0; i < vmcb_fields_count; i++) {
        if (vmcb_fields[i].offset == offset)
            return &vmcb_fields[i];
    }
    return NULL;
}
