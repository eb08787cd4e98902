/* SPDX-License-Identifier: MIT */
/*
 * Memory accesses of which a mask selects the elements: MASKMOVQ, MASKMOVDQU, VMASKMOV, VPMASKMOV.
 * An element that is not selected is not accessed and cannot fault. SDM Vol 2, by mnemonic.
 */
#ifndef CPU_ISA_MASKED_H
#define CPU_ISA_MASKED_H

#include "cpu/engine.h"

/*
 * The linear address of `size` bytes `behind` bytes after `offset` in the record's segment, with
 * its checks. Only offset is cut to the address size: an operand does not wrap inside.
 */
MUST_CHECK static inline bool masked_address(struct vcpu *v, const struct insn *in, u64 offset,
                                             u32 behind, u32 size, u32 access, u64 *la)
{
    return seg_linear(v, (enum seg)in->seg, (offset & width_mask(in->addr)) + behind, size, access,
                      la);
}

/*
 * count elements of size bytes from offset on; element i takes part if bit i of select is set, the
 * others are zero.
 */
MUST_CHECK static inline bool masked_load(struct vcpu *v, const struct insn *in, u64 offset, u8 *to,
                                          u32 count, u32 size, u32 select)
{
    memset(to, 0, (size_t)count * size);
    for (u32 i = 0; i < count; i++) {
        u64 la;

        if ((select >> i & 1) == 0)
            continue;
        if (!masked_address(v, in, offset, i * size, size, ACCESS_READ, &la) ||
            !mem_load_bytes(v, la, to + i * size, size, segment_flag(in)))
            return false;
    }
    return true;
}

/* Nothing is stored unless all selected elements can be. */
MUST_CHECK static inline bool masked_store(struct vcpu *v, const struct insn *in, u64 offset,
                                           const u8 *from, u32 count, u32 size, u32 select)
{
    u64 la;

    for (u32 i = 0; i < count; i++) {
        if ((select >> i & 1) != 0 &&
            (!masked_address(v, in, offset, i * size, size, ACCESS_WRITE, &la) ||
             !mem_probe_write(v, la, size, segment_flag(in))))
            return false;
    }
    for (u32 i = 0; i < count; i++) {
        if ((select >> i & 1) != 0 &&
            (!masked_address(v, in, offset, i * size, size, ACCESS_WRITE, &la) ||
             !mem_store_bytes(v, la, from + i * size, size, segment_flag(in))))
            return false;
    }
    return true;
}

#endif
