#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot a Debian kernel on nestbox and QEMU TCG in turns and compare user CPU time.

usage: boot.py [--nestbox PATH] [--runs N] [--flavour NAME] [--options "..."]

1 GiB, one CPU, to the end of /init (which switches off). Prints each run, then the medians and their
ratio. --options go to nestbox only. The guest is made by tests/guest/debian.sh in build/guests.
"""
import argparse
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def user_time(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    status, usage = os.wait4(child.pid, 0)[1:]
    child.returncode = 0
    if status != 0:
        sys.exit(f"status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return usage.ru_utime


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nestbox", default=str(ROOT / "build/release/nestbox"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--flavour", default="cloud-amd64")
    parser.add_argument("--options", default="")
    args = parser.parse_args()
    folder = ROOT / "build/guests"
    subprocess.run(["sh", str(ROOT / "tests/guest/debian.sh"), args.flavour, str(folder)], check=True)
    guest = folder / args.flavour
    common = ["-display", "none", "-serial", "stdio", "-no-reboot", "-m", "1024",
              "-kernel", str(guest / "vmlinuz"), "-initrd", str(guest / "initrd"),
              "-append", "console=ttyS0 run=true"]
    machines = {"nestbox": [args.nestbox] + shlex.split(args.options),
                "tcg": ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"]}
    times = {name: [] for name in machines}
    for run in range(args.runs):
        for name, command in machines.items():
            times[name].append(user_time(command + common))
            print(f"run {run + 1} {name:8} {times[name][-1]:6.2f} s", flush=True)
    nestbox, tcg = (statistics.median(times[name]) for name in ("nestbox", "tcg"))
    print(f"median: nestbox {nestbox:.2f} s, tcg {tcg:.2f} s, nestbox/tcg {nestbox / tcg:.2f}")


main()
