#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian under KVM under nestbox: nested_linux.py NESTBOX L1 L2[,L2...] [options]

L1 is a flavour of debian.sh; an L2 is one too, or FLAVOUR+FLAVOUR: it runs an L3 itself. The stock
kvm-intel or kvm-amd of L1 runs tiny guests and then each L2 with our monitor (nested/vmm.c), each
to its /init. Two runs must give the same console output and state hash. Status 77 if the guest
cannot be made, or if NESTBOX has no such CPU.

--machine=qemu runs the same image once on QEMU's TCG (which has SVM only), --machine=print shows
the command. --show copies the console to stdout while it runs.
"""
import argparse
import os
import shlex
import subprocess
import sys
import threading

sys.dont_write_bytecode = True  # nothing new in the source tree
import nested_image  # noqa: E402

FEATURE = {"intel": "vmx", "amd": "svm"}


def parse(options=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("nestbox")
    parser.add_argument("l1")
    parser.add_argument("guests", metavar="l2", help="names with commas; '' for tiny guests only")
    parser.add_argument("--folder", default="build/guests", help="where the guests are made")
    parser.add_argument("--kvm", choices=sorted(FEATURE), default="intel")
    parser.add_argument("--params", default="", help="of kvm-intel or kvm-amd: ept=0,nested=1")
    parser.add_argument("--machine", choices=("nestbox", "qemu", "print"), default="nestbox")
    parser.add_argument("--cpu", help="CPU model (default: max with the feature)")
    parser.add_argument("--smp", default="1")
    parser.add_argument("--tiny", default="7", help="number of tiny guests")
    parser.add_argument("--memory", type=int, default=256, help="MiB of an L2; L1 has 768 more")
    parser.add_argument("--limit", default="", help="seconds, in its own time, of an L2")
    parser.add_argument("--append", default="quiet,cryptomgr.notests", help="words for all kernels")
    parser.add_argument("--mmu", help="--mmu of nestbox")
    parser.add_argument("--options", default="", help="more options of the machine")
    parser.add_argument("--once", action="store_true", help="one run only")
    parser.add_argument("--show", action="store_true", help="the console on stdout")
    parser.add_argument("--timeout", type=int, default=1500, help="seconds of a run")
    return parser.parse_args(options)


def kernel_line(args):
    line = ["console=ttyS0", *args.append.split(","), "nb.level=1", f"nb.kvm={args.kvm}"]
    for name in ("params", "tiny", "guests", "memory", "limit", "append"):
        value = getattr(args, name)
        if value not in ("", "0"):
            line.append(f"nb.{name}={value}")
    return " ".join(line)


def command_line(args):
    kernel, initrd = nested_image.make(args.folder, args.l1, args.guests)
    cpu = args.cpu or f"max,+{FEATURE[args.kvm]}"
    machine = ["qemu-system-x86_64", "-accel", "tcg"] if args.machine == "qemu" else [args.nestbox]
    if args.machine != "qemu":
        machine += ["--state-hash"] + ([f"--mmu={args.mmu}"] if args.mmu else [])
    return machine + ["-cpu", cpu, "-display", "none", "-serial", "stdio", "-no-reboot",
                      "-smp", args.smp, "-m", str(args.memory + 768), "-kernel", str(kernel),
                      "-initrd", str(initrd), "-append", kernel_line(args), *shlex.split(args.options)]


def expected(args):
    """Lines of the console that show success, in their order."""
    bits = "x86_64" if args.l1.endswith("amd64") else "i686"
    yield "nestbox: L1 /init reached on ", f" {bits} "
    yield f"nestbox: L1 kvm-{args.kvm} is loaded:", ""
    if args.tiny != "0":
        yield f"tiny: {args.tiny} guests, 0 failed", ""
    for guest in filter(None, args.guests.split(",")):
        *_, last = flavours = guest.split("+")
        level = 1 + len(flavours)
        bits = "x86_64" if last.endswith("amd64") else "i686"
        prefix = "".join(f"L{n}| " for n in range(2, level + 1))
        yield f"{prefix}nestbox: L{level} /init reached on ", f" {bits} "
        yield f"nestbox: L1 has run L2 {guest}", ""
    yield "nestbox: L1 is done", ""


def check(wanted, text):
    lines = iter(text.splitlines())
    for start, part in wanted:
        for line in lines:
            if line.startswith(start) and part in line:
                break
        else:
            return f"no line '{start}' with '{part}'"
    return None


def run(args, command, wanted, job):
    """One run: its console output. Fails if it is not as wanted."""
    before = sum(os.times()[2:4])
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    timer = threading.Timer(args.timeout, child.kill)
    timer.start()
    text = ""
    for raw in child.stdout:
        line = raw.decode(errors="replace").replace("\r", "")
        text += line
        if args.show:
            print(line, end="", flush=True)
    status = child.wait()
    timer.cancel()
    wrong = f"status {status}" if status != 0 else check(wanted, text)
    if wrong:
        sys.exit(f"{wrong}\n{'' if args.show else text[-5000:]}")
    seconds = sum(os.times()[2:4]) - before  # of children that have ended
    print(f"\n{job} ran in {seconds:.1f} s of user and system time", file=sys.stderr)
    return text


def has_cpu(args):
    listed = subprocess.run([args.nestbox, "-cpu", "help"], capture_output=True, check=False)
    return FEATURE[args.kvm] in listed.stdout.decode().split()


def command_or_skip(args, command_line):
    """The command, or the end with status 77 if there is no such CPU or no such guest."""
    try:
        if args.machine == "nestbox" and not has_cpu(args):
            raise nested_image.Unavailable(f"{args.nestbox} has no {FEATURE[args.kvm]}")
        return command_line(args)
    except nested_image.Unavailable as error:
        print(f"skipped: {error}")
        sys.exit(77)


def run_twice(args, command, wanted, job):
    """Two runs that must not differ, or one with --once; what they say on stdout."""
    wanted = list(wanted)
    first = run(args, command, wanted, job)
    if not args.once and run(args, command, wanted, job) != first:
        sys.exit("the two runs differ")
    if not args.show:
        print("\n".join(line for line in first.splitlines()
                        if "nestbox: " in line or "state-hash" in line))


def main():
    args = parse()
    args.once |= args.machine == "qemu"
    command = command_or_skip(args, command_line)
    if args.machine == "print":
        print(shlex.join(command))
        return
    job = f"{args.l1} with kvm-{args.kvm} {args.params} and '{args.guests}'"
    run_twice(args, command, expected(args), job)


if __name__ == "__main__":
    main()
