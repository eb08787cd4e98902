/* SPDX-License-Identifier: MIT */
/* What VMX and SVM both need to know of instructions that their guests exit for. */
#include "cpu/virt.h"

#include "cpu/control.h"
#include "cpu/engine.h"

bool virt_tsc_faults(const struct vcpu *v)
{
    return v->cpl != 0 && (v->state.cr4 & CR4_TSD) != 0;
}

bool virt_rdpmc_faults(const struct vcpu *v)
{
    return v->cpl != 0 && (v->state.cr4 & CR4_PCE) == 0 && (v->state.cr0 & CR0_PE) != 0;
}

bool virt_umip_faults(const struct vcpu *v, bool store)
{
    return store && v->cpl != 0 && (v->state.cr4 & CR4_UMIP) != 0;
}

static u32 hex(char digit)
{
    return (u32)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

struct virt_io virt_io_operand(const struct vcpu *v, const struct insn *in)
{
    const u8 opcode = (u8)(hex(in->def->encoding[0]) << 4 | hex(in->def->encoding[1]));
    const bool string = (opcode & 0xf0) == 0x60;
    const bool immediate = (opcode & 0xf8) == 0xe0;

    return (struct virt_io){
        .port = (u16)(immediate ? (u32)in->imm & 0xff : (u32)v->state.reg[REG_RDX]),
        .size = (opcode & 1) == 0 ? 1
                : in->width == 2  ? 2
                                  : 4,
        .string = string,
        .in = (opcode & 2) == 0,
        .immediate = immediate,
        .rep = string && (in->prefix & (PREFIX_REP | PREFIX_REPNE)) != 0,
    };
}

bool virt_bitmap_bit(const struct vcpu *v, u64 address, u32 bit)
{
    const u8 *byte = memory_peek(v->memory, (hpa_t){address + bit / 8}, 1);

    return byte == NULL || (*byte >> (bit % 8) & 1) != 0;
}
