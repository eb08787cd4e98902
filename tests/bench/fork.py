#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What fork and exec of a small program cost in a Debian guest, on nestbox's MMU modes and on rivals.

usage: fork.py [--nestbox PATH] [--runs N] [--forks N] [--machines shadow,walk,combined,tcg,bochs]

Boots the cloud kernel (512 MiB, one CPU); its /init runs a shell loop that forks and execs BusyBox's
`true`. User CPU time (getrusage) of a boot with FORKS more rounds than WARM, minus that of one with WARM,
by FORKS. Medians over the runs, machines in turns; ratios above 1: the first machine is faster. The guest
is made by tests/guest/debian.sh in build/guests. Needs qemu-system-x86; for Bochs what run.py needs, and
isolinux, syslinux-common and xorriso, which make a CD to boot from.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing new in the source tree
from run import ROOT, start_bochs, user_time  # noqa: E402

WARM = 100  # rounds that the difference leaves out: the first ones read the program into memory
ISOLINUX = ["/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"]
ISO_OPTIONS = "-as mkisofs -quiet -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table"


def kernel_line(rounds):
    """debian.sh says how /init reads it."""
    return ("console=ttyS0 quiet cryptomgr.notests "
            f"run=for,i,in,$(seq,{rounds});do,/bin/busybox,true;done;echo,forked,$i")


def run_loader(command, guest, work, rounds):
    return user_time(command + ["-display", "none", "-serial", "stdio", "-no-reboot", "-m", "512",
                                "-kernel", str(guest / "vmlinuz"), "-initrd", str(guest / "initrd"),
                                "-append", kernel_line(rounds)], work)


def run_bochs(guest, work, rounds):
    disc, image = work / "disc", work / "disc.iso"
    disc.mkdir(exist_ok=True)
    for source in [*ISOLINUX, guest / "vmlinuz", guest / "initrd"]:
        shutil.copy(source, disc)
    (disc / "isolinux.cfg").write_text("DEFAULT linux\nLABEL linux\nKERNEL vmlinuz\nINITRD initrd\n"
                                       f"APPEND {kernel_line(rounds)}\n")
    image.unlink(missing_ok=True)
    subprocess.run(["xorriso", *ISO_OPTIONS.split(), "-o", str(image), str(disc)], check=True,
                   capture_output=True)
    return start_bochs(work, f"type=cdrom, path={image}, status=inserted", "cdrom")


def run_machine(name, nestbox, guest, work, rounds):
    """User CPU seconds of one boot."""
    if name == "bochs":
        seconds, text = run_bochs(guest, work, rounds)
    elif name == "tcg":
        seconds, text = run_loader(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max"], guest, work, rounds)
    else:
        seconds, text = run_loader([nestbox, f"--mmu={name}"], guest, work, rounds)
    if f"\nforked {rounds}" not in text:
        sys.exit(f"{name}: {rounds} forks did not come to an end\n{text[-2000:]}")
    return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nestbox", default=str(ROOT / "build/release/nestbox"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--forks", type=int, default=1000)
    parser.add_argument("--machines", default="shadow,walk,combined,tcg,bochs")
    args = parser.parse_args()
    folder = ROOT / "build/guests"
    subprocess.run(["sh", str(ROOT / "tests/guest/debian.sh"), "cloud-amd64", str(folder)], check=True)
    nestbox = str(pathlib.Path(args.nestbox).resolve())
    machines = args.machines.split(",")
    times = {name: [] for name in machines}
    with tempfile.TemporaryDirectory() as work:
        for run in range(args.runs):
            for name in machines if run % 2 == 0 else machines[::-1]:
                warm, all_of_them = (run_machine(name, nestbox, folder / "cloud-amd64", pathlib.Path(work), rounds)
                                     for rounds in (WARM, WARM + args.forks))
                times[name].append((all_of_them - warm) / args.forks * 1e6)
                print(f"run {run + 1} {name:9}{warm:8.2f} s + {all_of_them - warm:7.2f} s", flush=True)
    first = statistics.median(times[machines[0]])
    for name in machines:
        median = statistics.median(times[name])
        print(f"{name:9}{median:10.1f} us for a fork and exec, {name}/{machines[0]} {median / first:.2f}")


if __name__ == "__main__":
    main()
