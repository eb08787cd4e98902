/* SPDX-License-Identifier: MIT */
/*
 * What the two vendors' parts `nest` share: L2, which is this program once more, and its memory.
 */
#include "nest.h"
#include "parts.h"
#include "vendor.h"

enum { IMAGE = 0x200000, DONE_CALL = 0xd07e };

static word nest_stack[1024] __attribute__((aligned(16)));

/* L3 prints through its hypervisor: each OUT exits to it. */
static void l3_prints(void)
{
    static const char code[] =
        "\xac\x84\xc0\x74\x04\xe6\xe9\xeb\xf7\x0f\xa2"; /* lodsb, out, loop; cpuid */
    static const char text[] = "Hello from L3, in 32-bit mode without PAE\n";
    static struct l2 guest;

    l2_new(&guest, MODE_32);
    l2_put_code(&guest, code, sizeof(code) - 1);
    memcpy(l2_at(&guest, l2_gpa(&guest, LIN_DATA)), text, sizeof(text));
    guest.rip = guest.code_linear + OTHER_CODE;
    guest.reg[RSI] = LIN_DATA;
    guest.rflags = 2;
    for (u32 i = 0; i < sizeof(text); i++) {
        vendor->run(&guest);
        if (guest.exit.why != WHY_OTHER) /* other exits are of OUT */
            break;
        print("%c", (u8)guest.reg[RAX]);
        guest.rip += guest.exit.length;
    }
    check(guest.exit.why == WHY_CALL, "L3 has printed");
}

/* What L2 runs: parts of this program, once more. */
static void nest_l2_main(void)
{
    static void (*const inner[])(void) = {l3_prints, part_translate, part_faults, part_pae,
                                          part_second};

    print_prefix = "  L2 | ";
    print("\n");
    checks = failures = 0;
    l2_memory_init();
    for (u32 i = 0; i < ARRAY_SIZE(inner); i++) {
        pages_free();
        l2_pages_free();
        vendor->on();
        inner[i]();
        vendor->off();
        exits_print();
    }
    print_prefix = "";
    print("\n");
    if (vendor == &vendor_svm)
        __asm__ volatile("vmmcall" : : "a"(DONE_CALL), "b"(checks), "c"(failures));
    else
        __asm__ volatile("vmcall" : : "a"(DONE_CALL), "b"(checks), "c"(failures));
}

bool nest_new(struct l2 *guest)
{
    volatile u32 *probe = (volatile u32 *)(OFFSET + L2_MEMORY - 8);

    *probe = 0x12345678;
    if (*probe != 0x12345678) {
        print("  needs 128 MiB\n");
        return false;
    }
    l2_as_l1(guest);
    tables_new_machine(&guest->second, vendor->second_format());
    for (u64 at = 0; at < L2_MEMORY; at += 0x200000)
        tables_map(&guest->second, at, OFFSET + at, 21, vendor->second_rwx);
    tables_map(&guest->second, 0xfee00000, 0xfee00000, 12, vendor->second_rwx);
    memcpy((void *)(word)(OFFSET + 0x100000), (void *)0x100000, IMAGE - 0x100000);
    vendor->create(guest);
    guest->rip = (word)nest_l2_main;
    guest->rsp = (word)(nest_stack + ARRAY_SIZE(nest_stack)) - 8;
    guest->rflags = 2;
    return true;
}

void nest_check(const struct l2 *guest)
{
    check(guest->reg[RAX] == DONE_CALL && guest->reg[RCX] == 0 && guest->reg[RBX] > 50,
          "L2 as a hypervisor: %lu checks on its L3, %lu failures", guest->reg[RBX],
          guest->reg[RCX]);
}

void *nest_at(void *context, u64 address)
{
    (void)context;
    return address < L2_MEMORY ? (void *)(word)(OFFSET + address) : NULL;
}
