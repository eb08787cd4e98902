#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs of a guest of our own that must be the same run: determinism.py CASE NESTBOX GUEST [OTHER-NESTBOX]

CASE: twice     two runs give the same output and state hash
      caches    caches dropped at random instruction boundaries change nothing
      host      address space, environment, stack limit and load of the host change nothing
      engines   the interpreter and the translator give the same run
      mmu       walks, shadow and combined pages, audited, strict and drop, give the same run; lazy
                repeats; no refresh of a shadow page was ever refused for its role
      compilers OTHER-NESTBOX (another compiler's build) gives the same hash; status 77 without it
Each with one and with four CPUs.
"""
import json
import os
import resource
import subprocess
import sys


def run(nestbox, guest, cpus, options=(), before=(), **how):
    command = [*before, nestbox, "-display", "none", "-serial", "stdio", "-m", "64", "-smp", str(cpus),
               "-kernel", guest, "--state-hash", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    done = subprocess.run(command + list(options), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=300, check=False, **how)
    if done.returncode != 1:  # debug-exit with 0: (0 << 1) | 1
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout.decode()}"
                 f"{done.stderr.decode()}")
    return done.stdout


def run_shadowed(nestbox, guest, cpus, *options):
    """As run(), under shadow pages: checks the counters, which stay out of the result."""
    text = run(nestbox, guest, cpus, (*options, "--stats=json")).decode()
    start = text.rindex('{\n  "instructions"')
    refused = json.loads(text[start:])["shadow"]["sync_role_mismatch"]
    if refused != 0:
        sys.exit(f"{cpus} CPUs, {options}: sync_role_mismatch is {refused}")
    return text[:start].encode()


def small_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))


def main():
    case, nestbox, guest = sys.argv[1:4]
    for cpus in (1, 4):
        first = run(nestbox, guest, cpus, ("--mmu=walk",) if case == "mmu" else ())
        retired = int(first.decode().split("state-hash ")[1].split()[0])
        audit = f"--audit={retired // 50}"
        others = []
        if case == "twice":
            others.append(run(nestbox, guest, cpus))
        elif case == "caches":
            for seed in (1, 2, 3):
                others.append(run(nestbox, guest, cpus, (f"--drop-caches={seed}",)))
        elif case == "host":
            with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
                others.append(run(nestbox, guest, cpus, env={"LANG": "tr_TR.UTF-8", "X": "y" * 9999}))
                others.append(run(nestbox, guest, cpus, env={}, preexec_fn=small_stack))
                busy.kill()
            if os.access("/usr/bin/setarch", os.X_OK):  # without address space randomisation
                others.append(run(nestbox, guest, cpus, before=("/usr/bin/setarch", "-R")))
        elif case == "engines":
            for options in ((), ("--drop-caches=1",), ("--mmu=walk",)):
                others.append(run(nestbox, guest, cpus, ("--engine=interp", *options)))
        elif case == "mmu":
            for mmu in ("--mmu=shadow", "--mmu=combined"):
                for how in ([audit], ["--sync=drop", audit], ["--drop-caches=1"],
                            ["--shadow-quota=4K"]):
                    others.append(run_shadowed(nestbox, guest, cpus, mmu, *how))
                lazy = [run_shadowed(nestbox, guest, cpus, mmu, "--sync=lazy", *how)
                        for how in ([], [], [audit])]
                if any(other != lazy[0] for other in lazy):
                    sys.exit(f"{cpus} CPUs: the lazy runs differ")
        elif case == "compilers":
            if len(sys.argv) < 5 or not os.access(sys.argv[4], os.X_OK):
                print("skipped: the other compiler's build is not there")
                sys.exit(77)
            others.append(run(sys.argv[4], guest, cpus))
        else:
            sys.exit(f"unknown case {case}")
        for other in others:
            if other != first:
                sys.exit(f"{cpus} CPUs: the runs differ:\n{first.decode()}\n{other.decode()}")
        print(f"{cpus} CPUs: {len(others) + 1} runs, {first.decode().splitlines()[-1]}")


if __name__ == "__main__":
    main()
