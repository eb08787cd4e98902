/* SPDX-License-Identifier: MIT */
/* L2 in each paging mode: where its addresses go, and what its own tables and L1's make of them. */
#include "parts.h"
#include "vendor.h"

static struct l2 l2;

void part_translate(void)
{
    for (enum mode mode = MODE_32; mode <= (L1_64 ? MODE_64 : MODE_PAE); mode++) {
        print(" L2 %s\n", mode_names[mode]);
        l2_new(&l2, mode);
        l2_explain(&l2, LIN_DATA);
        l2_explain(&l2, LIN_LARGE + 0x3000);
    }
}
