#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs of a guest of our own that must be the same run: determinism.py CASE NESTBOX GUEST [OPTIONS]

CASE: twice     two runs give the same output and state hash
      caches    caches dropped at random instruction boundaries change nothing
      host      address space, environment, stack limit and load of the host change nothing
      engines   the interpreter and the translator give the same run
      mmu       walks, shadow and combined pages, audited, strict and drop, give the same run; lazy
                repeats; no refresh of a shadow page was ever refused for its role
      compilers build/clang/nestbox (another compiler's build) gives the same hash; status 77 without it
OPTIONS are nestbox's. Each with one and with four CPUs, if OPTIONS do not say how many.
"""
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

OTHER_COMPILER = str(Path(__file__).resolve().parents[2] / "build/clang/nestbox")


class Guest:
    """A guest and how it is started: run() gives what it printed, with the hash of the end."""

    def __init__(self, nestbox, kernel, options):
        self.command = [nestbox, "-display", "none", "-serial", "stdio", "-m", "64", "-kernel", kernel,
                        "--state-hash", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *options]

    def run(self, *options, before=(), **how):
        command = [*before, *self.command, *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                              check=False, **how)
        if done.returncode != 1:  # debug-exit with 0: (0 << 1) | 1
            sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout.decode()}"
                     f"{done.stderr.decode()}")
        return done.stdout

    def run_shadowed(self, *options):
        """As run(), under shadow pages: checks the counters, which stay out of the result."""
        text = self.run(*options, "--stats=json").decode()
        start = text.rindex('{\n  "instructions"')
        refused = json.loads(text[start:])["shadow"]["sync_role_mismatch"]
        if refused != 0:
            sys.exit(f"{' '.join(options)}: sync_role_mismatch is {refused}")
        return text[:start].encode()


def small_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))


def mmu_runs(guest, audit):
    """All modes of address translation; the lazy ones only repeat."""
    runs = [guest.run("--mmu=walk")]
    for mmu in ("--mmu=shadow", "--mmu=combined"):
        for how in ([audit], ["--sync=drop", audit], ["--drop-caches=1"], ["--shadow-quota=4K"]):
            runs.append(guest.run_shadowed(mmu, *how))
        lazy = [guest.run_shadowed(mmu, "--sync=lazy", *how) for how in ([], [], [audit])]
        if any(other != lazy[0] for other in lazy):
            sys.exit(f"{mmu}: the lazy runs differ")
    return runs


def host_runs(guest):
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        runs = [guest.run(env={"LANG": "tr_TR.UTF-8", "X": "y" * 9999}),
                guest.run(env={}, preexec_fn=small_stack)]
        busy.kill()
    if os.access("/usr/bin/setarch", os.X_OK):  # without address space randomisation
        runs.append(guest.run(before=("/usr/bin/setarch", "-R")))
    return runs


def main():
    case, nestbox, kernel, *options = sys.argv[1:]
    if case == "compilers" and not os.access(OTHER_COMPILER, os.X_OK):
        print("skipped: the other compiler's build is not there")
        sys.exit(77)
    for cpus in [[]] if "-smp" in options else [["-smp", "1"], ["-smp", "4"]]:
        guest = Guest(nestbox, kernel, [*cpus, *options])
        first = guest.run()
        retired = int(first.decode().split("state-hash ")[1].split()[0])
        if case == "twice":
            others = [guest.run()]
        elif case == "caches":
            others = [guest.run(f"--drop-caches={seed}") for seed in (1, 2, 3)]
        elif case == "host":
            others = host_runs(guest)
        elif case == "engines":
            others = [guest.run("--engine=interp", *how)
                      for how in ([], ["--drop-caches=1"], ["--mmu=walk"])]
        elif case == "mmu":
            others = mmu_runs(guest, f"--audit={retired // 50}")
        elif case == "compilers":
            others = [Guest(OTHER_COMPILER, kernel, [*cpus, *options]).run()]
        else:
            sys.exit(f"unknown case {case}")
        for other in others:
            if other != first:
                sys.exit(f"{cpus}: the runs differ:\n{first.decode()}\n{other.decode()}")
        print(f"{' '.join(cpus)} {len(others) + 1} runs, {first.decode().splitlines()[-1]}")


if __name__ == "__main__":
    main()
