#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the bench guest on nestbox, QEMU TCG and Bochs, interleaved, and print ratios.

usage: run.py [--nestbox PATH] [--runs N] [--rivals tcg,bochs,interp,walk,shadow,combined] [--scale X] [--vendor vmx|svm] [WORKLOAD ...]

One process per workload, machine and run: user CPU time (getrusage) of a run with ROUNDS rounds minus
that of a run with none, which makes the same preparations. Medians over the runs; each run goes through
all workloads, and the order of the machines alternates. Prints, per workload, nanoseconds per round on each machine and the ratio
rival/nestbox (above 1: nestbox is faster), then geometric means. Needs qemu-system-x86, bochs,
bochsbios, bochs-term, vgabios. The workloads l2-* need nested virtualization: TCG has SVM, Bochs VMX.
"""
import argparse
import math
import os
import pathlib
import resource  # noqa: F401  (wait4 gives the same structure)
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# rounds: about half a second of nestbox each; rivals that are slow at one get the same number.
ROUNDS = {
    "alu": 4000000, "core": 4000, "rep": 100000, "chase": 8000000, "switch": 6000000,
    "sse": 2000000, "x87": 1000000, "smc": 400000, "smcdata": 3000000, "fib": 3000, "sieve": 60,
    "pte": 1000000, "cr3": 100000, "int": 2000000, "ud": 2000000, "syscall": 4000000,
    "pf": 600000, "port": 4000000, "cr3x512": 40000, "chase1g": 4000000, "tables": 1000000,
}
# The bench guest as a guest of its own, with nested paging in pages of 4 KiB; by name only.
L2_ROUNDS = {"l2-call": 1000000, "l2-violation": 300000, **{
    f"l2-{name}": ROUNDS[name] for name in ("chase", "core", "switch", "pte", "cr3", "syscall")}}
INTEGER = ["alu", "core", "switch", "fib", "sieve"]
BOCHSRC = """cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: {drive}
boot: {boot}
com1: enabled=1, mode=file, dev={out}
clock: sync=none
display_library: term
log: /dev/null
panic: action=fatal
error: action=ignore
info: action=ignore
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
plugin_ctrl: speaker=0, es1370=0, sb16=0, gameport=0, ne2k=0, parallel=0, unmapped=1
"""


def user_time(command, cwd):
    """Run command to its end; user CPU seconds of it and its children, and what it printed."""
    with tempfile.TemporaryFile(dir=cwd) as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.DEVNULL, cwd=cwd,
                                 env={**os.environ, "TERM": "xterm"})
        usage = os.wait4(child.pid, 0)[2]
        child.returncode = 0
        out.seek(0)
        return usage.ru_utime, out.read().decode(errors="replace")


def run_nestbox(args, work, line, *options):
    if line.startswith("l2-"):
        options = ("-cpu", f"max,+{args.vendor}", *options)
    return user_time([args.nestbox, "-display", "none", "-serial", "stdio", "-no-reboot", "-m", "512",
                      "-kernel", str(work / "bench.elf"), "-append", line,
                      "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *options], work)


def run_walk(args, work, line):
    return run_nestbox(args, work, line, "--mmu=walk")


def run_shadow(args, work, line):
    return run_nestbox(args, work, line, "--mmu=shadow")


def run_combined(args, work, line):
    return run_nestbox(args, work, line, "--mmu=combined")


def run_interp(args, work, line):
    return run_nestbox(args, work, line, "--engine=interp")


def run_tcg(_args, work, line):
    return user_time(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-display", "none",
                      "-serial", "stdio", "-no-reboot", "-m", "512",
                      "-kernel", str(work / "bench.elf"), "-append", line,
                      "-device", "isa-debug-exit,iobase=0xf4,iosize=4"], work)


def start_bochs(work, drive, boot):
    out = work / "bochs.out"
    (work / "bochsrc").write_text(BOCHSRC.format(drive=drive, boot=boot, out=out))
    (work / "rc").write_text("c\n")  # Debian's build has the debugger, which waits for a command
    out.unlink(missing_ok=True)
    seconds, _ = user_time(["script", "-qec", "bochs -q -f bochsrc -rc rc", "/dev/null"], work)
    return seconds, out.read_text(errors="replace") if out.exists() else ""


def run_bochs(_args, work, line):
    image = work / "run.img"
    shutil.copyfile(work / "bench.img", image)
    with open(image, "r+b") as f:
        f.seek(512)
        f.write(line.encode().ljust(512, b"\0"))
    return start_bochs(work, f"type=disk, path={image}, mode=flat, cylinders=20, heads=16, spt=63", "disk")


MACHINES = {"nestbox": run_nestbox, "walk": run_walk, "shadow": run_shadow, "combined": run_combined,
            "interp": run_interp, "tcg": run_tcg, "bochs": run_bochs}


def measure_once(args, work, machine, workload, rounds):
    """Seconds of the rounds alone, and the checksum that the guest printed."""
    base, _ = MACHINES[machine](args, work, f"{workload} 0")
    seconds, text = MACHINES[machine](args, work, f"{workload} {rounds}")
    checksum = next((" ".join(line.split()[:2]) for line in text.splitlines()
                     if line.startswith(workload + " ")), "no output")
    return max(seconds - base, 0.0), checksum


def measure(args, work, machines, rounds):
    """Medians by workload and machine, nanoseconds per round. Each run goes through all of them, so that a
    slow minute of the host does not fall on one."""
    times = {(w, m): [] for w in rounds for m in machines}
    for run in range(args.runs):
        for workload, n in rounds.items():
            print(f"run {run + 1} of {args.runs}: {workload}", file=sys.stderr)
            sums = {}
            for m in machines if run % 2 == 0 else machines[::-1]:
                seconds, sums[m] = measure_once(args, work, m, workload, n)
                times[workload, m].append(seconds / n * 1e9)
            if len(set(sums.values())) != 1:
                print(f"  checksums of {workload} differ: {sums}", file=sys.stderr)
    return {key: statistics.median(t) for key, t in times.items()}


def geomean(values):
    return math.exp(sum(math.log(max(v, 1e-9)) for v in values) / len(values)) if values else 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nestbox", default=str(ROOT / "build/release/nestbox"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rivals", default="tcg,bochs")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--vendor", choices=("vmx", "svm"), default="vmx", help="nestbox in l2-*")
    parser.add_argument("workloads", nargs="*", help=" ".join([*ROUNDS, *L2_ROUNDS]))
    args = parser.parse_args()
    known = {**ROUNDS, **L2_ROUNDS}
    if unknown := [w for w in args.workloads if w not in known]:
        parser.error("no such workload: " + " ".join(unknown))
    if unknown := [r for r in args.rivals.split(",") if r and r not in MACHINES]:
        parser.error("no such machine: " + " ".join(unknown))
    args.nestbox = os.path.abspath(args.nestbox)  # each runs in a folder of its own
    rivals = [r for r in args.rivals.split(",") if r]
    machines = ["nestbox"] + rivals
    ratios = {r: {} for r in rivals}
    rounds = {w: max(1, int(known[w] * args.scale)) for w in args.workloads or ROUNDS}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        subprocess.run([str(HERE / "build.sh"), str(work)], check=True)
        ns = measure(args, work, machines, rounds)
    print("workload  " + "".join(f"{m + ' ns':>14}" for m in machines) +
          "".join(f"{r + '/nestbox':>18}" for r in rivals))
    for workload in rounds:
        for r in rivals:
            ratios[r][workload] = ns[workload, r] / max(ns[workload, "nestbox"], 1e-3)
        print(f"{workload:<10}" + "".join(f"{ns[workload, m]:14.1f}" for m in machines) +
              "".join(f"{ratios[r][workload]:18.2f}" for r in rivals))
    for r in rivals:
        integer = [ratios[r][w] for w in INTEGER if w in ratios[r]]
        print(f"geomean {r}/nestbox: integer {geomean(integer):.2f}, "
              f"all {geomean(list(ratios[r].values())):.2f}")


if __name__ == "__main__":
    main()
