/* SPDX-License-Identifier: MIT */
/* VM-exit instruction information: SDM Vol 3C 28.2.5. Undefined bits are 0. */
#include "cpu/vmx/insn_info.h"

#include "cpu/engine.h"

enum {
    INFO_REG1 = 3,
    INFO_ADDRESS_SIZE = 7,
    INFO_IS_REGISTER = 1 << 10,
    INFO_SEGMENT = 15,
    INFO_INDEX = 18,
    INFO_NO_INDEX = 1 << 22,
    INFO_BASE = 23,
    INFO_NO_BASE = 1 << 27,
    INFO_REG2 = 28,
};

static u32 address_size(const struct insn *in)
{
    return in->addr == 8 ? 2 : in->addr == 4 ? 1 : 0;
}

u32 vmx_string_info(const struct insn *in)
{
    return address_size(in) << INFO_ADDRESS_SIZE | (u32)in->seg << INFO_SEGMENT;
}

static u32 memory_info(const struct insn *in)
{
    u32 info = in->scale | address_size(in) << INFO_ADDRESS_SIZE | (u32)in->seg << INFO_SEGMENT;

    info |= in->index < REG_RIP ? (u32)in->index << INFO_INDEX : (u32)INFO_NO_INDEX;
    info |= in->base < REG_RIP ? (u32)in->base << INFO_BASE : (u32)INFO_NO_BASE;
    return info;
}

void vmx_insn_info(const struct vcpu *v, const struct insn *in, struct guest_exit *x)
{
    const u32 reg2 = (u32)(in->reg & 15) << INFO_REG2;

    if ((in->prefix & PREFIX_MEM) == 0) {
        x->instruction_info = INFO_IS_REGISTER | (u32)(in->rm & 15) << INFO_REG1 | reg2;
        return;
    }
    x->instruction_info = memory_info(in) | reg2;
    x->qualification = (u64)in->disp;
    if (in->base == REG_RIP) /* disp counts from the block's entry */
        x->qualification += v->state.reg[REG_RIP];
}
