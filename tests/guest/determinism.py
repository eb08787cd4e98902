#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs of the tour guest that must be the same run: determinism.py CASE NESTBOX TOUR [OTHER-NESTBOX]

CASE: twice     two runs give the same output and state hash
      caches    caches dropped at random instruction boundaries change nothing
      host      address space, environment, stack limit and load of the host change nothing
      engines   the interpreter and the translator give the same run
      mmu       walks and shadow pages, audited, strict and drop, give the same run; lazy repeats
      compilers OTHER-NESTBOX (another compiler's build) gives the same hash; status 77 without it
Each with one and with four CPUs.
"""
import os
import resource
import subprocess
import sys


def run(nestbox, tour, cpus, options=(), before=(), **how):
    command = [*before, nestbox, "-display", "none", "-serial", "stdio", "-m", "64", "-smp", str(cpus),
               "-kernel", tour, "--state-hash", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    done = subprocess.run(command + list(options), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120, check=False, **how)
    if done.returncode != 1:  # debug-exit with 0: (0 << 1) | 1
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout.decode()}"
                 f"{done.stderr.decode()}")
    return done.stdout


def small_stack():
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))


def main():
    case, nestbox, tour = sys.argv[1:4]
    for cpus in (1, 4):
        first = run(nestbox, tour, cpus, ("--mmu=walk",) if case == "mmu" else ())
        others = []
        if case == "twice":
            others.append(run(nestbox, tour, cpus))
        elif case == "caches":
            for seed in (1, 2, 3):
                others.append(run(nestbox, tour, cpus, (f"--drop-caches={seed}",)))
        elif case == "host":
            with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
                others.append(run(nestbox, tour, cpus, env={"LANG": "tr_TR.UTF-8", "X": "y" * 9999}))
                others.append(run(nestbox, tour, cpus, env={}, preexec_fn=small_stack))
                busy.kill()
            if os.access("/usr/bin/setarch", os.X_OK):  # without address space randomisation
                others.append(run(nestbox, tour, cpus, before=("/usr/bin/setarch", "-R")))
        elif case == "engines":
            for options in ((), ("--drop-caches=1",), ("--mmu=walk",)):
                others.append(run(nestbox, tour, cpus, ("--engine=interp", *options)))
        elif case == "mmu":
            for sync in ("strict", "drop"):
                others.append(run(nestbox, tour, cpus, ("--mmu=shadow", f"--sync={sync}",
                                                        "--audit=10000")))
            others.append(run(nestbox, tour, cpus, ("--mmu=shadow", "--drop-caches=1")))
            others.append(run(nestbox, tour, cpus, ("--mmu=shadow", "--shadow-quota=4K")))
            lazy = [run(nestbox, tour, cpus, ("--mmu=shadow", "--sync=lazy")) for _ in range(2)]
            if lazy[0] != lazy[1]:
                sys.exit(f"{cpus} CPUs: the lazy runs differ")
        elif case == "compilers":
            if len(sys.argv) < 5 or not os.access(sys.argv[4], os.X_OK):
                print("skipped: the other compiler's build is not there")
                sys.exit(77)
            others.append(run(sys.argv[4], tour, cpus))
        else:
            sys.exit(f"unknown case {case}")
        for other in others:
            if other != first:
                sys.exit(f"{cpus} CPUs: the runs differ:\n{first.decode()}\n{other.decode()}")
        print(f"{cpus} CPUs: {len(others) + 1} runs, {first.decode().splitlines()[-1]}")


if __name__ == "__main__":
    main()
