#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the shadow engine's counters say of the mini hypervisors: mini_counters.py NESTBOX MINI...

T28: L1 and L2 in turns a thousand times build nothing after the first turns. T21: an L2 that changes its
paging mode keeps the shadow of its second stage. T20, T55: what L1 rewrites is dropped entry by entry;
under --mmu=shadow no page is zapped for it, but those of tables of the mode before, where L1 has
then others. T27: a hundred SMIs in each L2's time make no roots. T26: what is out of step when it becomes a
directory of L1 is not refreshed there, for its role would not match. Each with VMX and with SVM.
"""
import json
import sys
from itertools import product

sys.dont_write_bytecode = True  # nothing new in the source tree
from determinism import Guest  # noqa: E402

# part, mode, then the most that each counter may be for one L1
LIMITS = [
    ("turns", "shadow", {"pages_made": 16, "roots_made": 4, "pages_zapped": 2}),
    ("turns", "combined", {"pages_made": 16, "roots_made": 5, "pages_zapped": 4}),
    ("modes", "shadow", {"pages_made": 12, "roots_made": 8}),
    ("second", "shadow", {"pages_made": 64, "pages_zapped": 10}),
    ("roles", "shadow", {"pages_made": 135, "roots_made": 75}),
    ("roles", "combined", {"pages_made": 270, "roots_made": 95}),
]


def main():
    nestbox, *kernels = sys.argv[1:]
    for kernel, cpu, (part, mode, limits) in product(kernels, ("max", "amd-max"), LIMITS):
        text = Guest(nestbox, kernel, ["-cpu", cpu, "-append", part]).run(
            f"--mmu={mode}", "--stats=json").decode()
        shadow = json.loads(text[text.rindex('{\n  "instructions"'):])["shadow"]
        runs = text.count(f"== {part}")  # L1 runs it in each of its paging modes
        for counter, limit in limits.items():
            if shadow[counter] > limit * runs:
                sys.exit(f"{kernel}, {cpu}, {part}, {mode}: {counter} is {shadow[counter]}, over {limit * runs}")
        if shadow["sync_role_mismatch"] != 0:
            sys.exit(f"{kernel}, {cpu}, {part}, {mode}: sync_role_mismatch is {shadow['sync_role_mismatch']}")
        print(f"{cpu}, {part}, {mode}: " + ", ".join(f"{c} {shadow[c]}" for c in limits))


if __name__ == "__main__":
    main()
