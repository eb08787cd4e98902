#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shadow engine's memory stays within its quota: quota.py NESTBOX

The bench guest touches a page through each of 65536 tables, under eight combinations of rights above them,
a million times in all (workload `tables` of tests/bench/bench.c), each time a table that no shadow page is
left of. What --stats says is in use, and the resident memory beyond that of a run with --mmu=walk, are at
most the quota; output and state hash are those of the walked run, also when the pages are audited.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOUCHES = 1_000_000
RAM = 512 << 20
LEAST = 256 << 10  # a smaller quota is raised to 64 pages
RECORD = 256  # bytes, generously, that the engine keeps for each page of 4 KiB
SLACK = 16 << 20  # of resident memory: the kernel decides about huge pages; unbounded, it were 4 GiB
SHADOW = ["--mmu=shadow"]
CASES = {  # options, and the most that may be used
    "default": (SHADOW, max(RAM // 50, 4 << 20)),
    "least": (SHADOW + ["--shadow-quota=4K"], LEAST + 64 * RECORD),
    "1M, audited": (SHADOW + ["--shadow-quota=1M", "--audit=100000"], 1 << 20),
    "drop": (SHADOW + ["--shadow-quota=4M", "--sync=drop"], 4 << 20),
    "lazy": (SHADOW + ["--shadow-quota=4M", "--sync=lazy"], 4 << 20),
}


def run(nestbox, folder, options):
    """Output and state hash, counters, and bytes of resident memory at most."""
    command = [nestbox, "-display", "none", "-serial", "stdio", "-no-reboot", "-m", str(RAM >> 20),
               "-kernel", "bench.elf", "-append", f"tables {TOUCHES}",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "--state-hash", "--stats=json", *options]
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, cwd=folder)
        status, usage = os.wait4(child.pid, 0)[1:]
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text, brace, stats = out.read().decode().rpartition('{\n  "instructions"')
    if child.returncode != 1 or "\nstate-hash " not in text:  # debug-exit with 0: (0 << 1) | 1
        sys.exit(f"{' '.join(command)}: status {child.returncode}\n{text}")
    return text, json.loads(brace + stats), usage.ru_maxrss << 10


def main():
    nestbox = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        build = pathlib.Path(__file__).resolve().parent.parent / "bench/build.sh"
        subprocess.run(["sh", str(build), folder], check=True)
        walked, _, plain = run(nestbox, folder, ["--mmu=walk"])
        for name, (options, most) in CASES.items():
            seen, stats, resident = run(nestbox, folder, options)
            made, used = stats["shadow"]["pages_made"], stats["shadow_bytes"]["used"]
            print(f"{name}: {made} pages made, {used} of {most} bytes used, "
                  f"resident {resident - plain} more than with walks", flush=True)
            if seen != walked:
                sys.exit(f"{name}: differs from --mmu=walk:\n{seen}{walked}")
            if made < TOUCHES:
                sys.exit(f"{name}: the guest does not do what it is for")
            if used > most or stats["shadow_bytes"]["quota"] > most or resident > plain + most + SLACK:
                sys.exit(f"{name}: more memory than the quota allows")


if __name__ == "__main__":
    main()
