#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian under Xen under nestbox: xen_linux.py NESTBOX GUEST[,GUEST...] [options]

A GUEST is a flavour of debian.sh and a type of xl, "amd64:pvh"; ":hap=0" behind it asks for Xen's
shadow paging, which needs a hypervisor that has it (--hypervisor; Debian's has not). Debian's Xen
boots a dom0, whose xl boots each guest, each to its /init. Two runs must give the same console
output and state hash. Status 77 if the guests cannot be made, or if NESTBOX has no such CPU.
"""
import argparse
import shlex
import sys

sys.dont_write_bytecode = True  # nothing new in the source tree
import nested_image  # noqa: E402
import nested_linux  # noqa: E402
import xen_image  # noqa: E402

TYPES = "pv", "pvh", "hvm"
DOM0 = {"pv": "", "pvh": " dom0=pvh dom0-iommu=none"}


def guests(text):
    for guest in filter(None, text.split(",")):
        if guest.split(":")[1:2] not in [[kind] for kind in TYPES]:
            raise argparse.ArgumentTypeError(f"'{guest}' is not FLAVOUR:TYPE with a type of {', '.join(TYPES)}")
    return text


def parse():
    parser = argparse.ArgumentParser()
    parser.set_defaults(machine="nestbox")
    parser.add_argument("nestbox")
    parser.add_argument("guests", type=guests, help="names with commas; '' for dom0 only")
    parser.add_argument("--folder", default="build/guests", help="where the guests are made")
    parser.add_argument("--kvm", choices=sorted(nested_linux.FEATURE), default="amd",
                        help="the vendor of the CPU")
    parser.add_argument("--cpu", help="CPU model (default: max with the feature)")
    parser.add_argument("--smp", default="1")
    parser.add_argument("--dom0", choices=sorted(DOM0), default="pv")
    parser.add_argument("--hypervisor", help="another Xen, unpacked (xen, not xen.gz)")
    parser.add_argument("--mmu", help="--mmu of nestbox")
    parser.add_argument("--options", default="", help="more options of nestbox")
    parser.add_argument("--once", action="store_true", help="one run only")
    parser.add_argument("--show", action="store_true", help="the console on stdout")
    parser.add_argument("--timeout", type=int, default=1500, help="seconds of a run")
    return parser.parse_args()


def command_line(args):
    guests = [guest for guest in args.guests.split(",") if guest]
    flavours = sorted({guest.split(":")[0] for guest in guests})
    hypervisor, kernel, image = xen_image.make(args.folder, flavours)
    jobs = ",,".join(["nb.run=domains", *guests])  # a comma of a module is written twice
    modules = f"{kernel} console=hvc0 quiet cryptomgr.notests nb.level=1 {jobs},{image}"
    cpu = args.cpu or f"max,+{nested_linux.FEATURE[args.kvm]}"
    machine = [args.nestbox, "--state-hash"] + ([f"--mmu={args.mmu}"] if args.mmu else [])
    return machine + ["-cpu", cpu, "-display", "none", "-serial", "stdio", "-no-reboot",
                      "-smp", args.smp, "-m", "1344", "-kernel",
                      args.hypervisor or str(hypervisor), "-append",
                      f"com1=115200,8n1 console=com1 dom0_mem=640M{DOM0[args.dom0]}",
                      "-initrd", modules, *shlex.split(args.options)]


def expected(args):
    """Lines of the console that show success, in their order."""
    yield "(XEN) Xen version 4.", ""
    yield "nestbox: L1 /init reached on ", " x86_64 "
    for guest in filter(None, args.guests.split(",")):
        bits = "x86_64" if guest.split(":")[0].endswith("amd64") else "i686"
        yield "domu| nestbox: L2 /init reached on ", f" {bits} "
        yield f"nestbox: dom0 has run {guest}", ""
    yield "nestbox: L1 is done", ""


def main():
    args = parse()
    job = f"Xen on {args.kvm}, dom0 {args.dom0}: '{args.guests}'"
    command = nested_linux.command_or_skip(args, command_line)
    nested_linux.run_twice(args, command, expected(args), job)


if __name__ == "__main__":
    main()
