/* SPDX-License-Identifier: MIT */
/* L2 from real mode to paging by itself, as a kernel's start does; the processor needs no help of
 * L1. */
#include "parts.h"
#include "vendor.h"

extern const char l2_boot[], l2_boot_end[], l2_boot_vector[];

enum { BOOT = 0x8000, VECTOR = 0x21 };

static struct l2 l2;

/* A page of L2 at a low guest-physical address. */
static u32 *low_page(u64 gpa)
{
    const u64 hpa = hpa_of(&l2, l2_page(&l2));

    tables_map(&l2.second, gpa, hpa, 12, vendor->second_rwx);
    return (u32 *)(word)hpa;
}

static void boot(enum mode mode)
{
    u64 rip;

    memcpy(low_page(BOOT), l2_boot, (size_t)(l2_boot_end - l2_boot));
    tables_map(&l2.own, BOOT, BOOT, 12, P | W);
    l2_reset(&l2, MODE_REAL, 0);
    l2.cr4 = 0;
    l2.rip = BOOT;
    l2.rsp = BOOT;
    l2.rflags = 2;
    l2.reg[RDI] = mode >= MODE_PAE ? CR4_PAE : CR4_PSE;
    l2.reg[RSI] = (word)l2.own.root;
    l2.reg[RBP] = mode == MODE_64 ? EFER_LME : 0;
    l2.reg[RBX] = LIN_DATA;
    vendor->run(&l2);
    rip = l2.rip;
    check(l2.exit.why == WHY_CALL && l2.reg[RDX] == 3 &&
              (l2.cr0 & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG) &&
              ((l2.efer & EFER_LMA) != 0) == (mode == MODE_64) &&
              l2_named(&l2, (u32)l2.reg[RAX], l2_gpa(&l2, LIN_DATA)),
          "real mode, protected mode, %s, by itself: read %08x", mode_names[mode],
          (u32)l2.reg[RAX]);
    /* and once more from the same instruction, now by what the exit saved */
    l2.rip = rip - 2;
    l2.reg[RAX] = l2.reg[RDI] = 0;
    l2.reload = false;
    vendor->run(&l2);
    check(l2.exit.why == WHY_CALL, "the next entry goes on in that mode");
}

/* SDM Vol 3A 21.1.4 "Interrupt and Exception Handling": vectors of 4 bytes at 0. */
static void interrupt_in_real_mode(void)
{
    u32 *vectors = low_page(0);

    memcpy(low_page(BOOT), l2_boot, (size_t)(l2_boot_end - l2_boot));
    vectors[VECTOR] = BOOT + (u32)(l2_boot_vector - l2_boot);
    l2_reset(&l2, MODE_REAL, 0);
    l2.rip = BOOT + 0x123;
    l2.rsp = BOOT + 0x800;
    l2.rflags = 2 | RFLAGS_IF;
    vendor->inject_interrupt(&l2, VECTOR);
    vendor->run(&l2);
    check(l2.exit.why == WHY_CALL && l2.reg[RDI] == 0x101 && (u16)l2.reg[RAX] == BOOT + 0x123 &&
              l2.rsp == BOOT + 0x800 - 4,
          "an interrupt into real mode: by its vector, with IP on the stack");
}

void part_boot(void)
{
    for (enum mode mode = MODE_32; mode <= l2_last_mode(); mode++) {
        l2_new(&l2, mode);
        boot(mode);
    }
    l2_new(&l2, MODE_32);
    interrupt_in_real_mode();
}
