#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""User and system time of a nested Debian job on nestbox, QEMU TCG and Bochs, side by side.

usage: nested.py [--nestbox PATH] [--machines NAME,...] [--runs N] [--l1 NAME]
                 [--guests NAMES] [--params TEXT]

The job: L1 Debian amd64 to its /init, seven tiny guests under KVM, L2 Debian amd64 and L2 Debian
686 (non-PAE) to their /init; cryptomgr.notests in all kernels. The machines: `nestbox` and
`nestbox-amd` run it on kvm-intel and kvm-amd, `tcg` on kvm-amd (it has SVM only), `bochs` on
kvm-intel. All load the same kernels and the same initramfs. For each phase: CPU seconds since the
start of the process, median of the runs.

Bochs boots from a CD image, which needs grub-mkrescue (grub-pc-bin, xorriso, mtools). Debian's has
its debugger built in, which costs time: name another with --bochs. A machine that cannot be run is
left out with the reason.
"""
import argparse
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/guest"))
import nested_image  # noqa: E402
import nested_linux  # noqa: E402

BOCHS = """megs: {megs}
cpu: model={model}, count=1, ips=50000000, reset_on_triple_fault=0
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
clock: sync=none, time0=946684800
com1: enabled=1, mode=file, dev={console}
display_library: {display}
log: {folder}/bochs.log
panic: action=fatal
error: action=ignore
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
info: action=ignore
debug: action=ignore
"""
GRUB = """serial --unit=0
terminal_output serial
linux /vmlinuz {append}
initrd /initrd
boot
"""


def cpu_seconds(session):
    """Of all living processes of a session: a machine may be started by a script."""
    total = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def phases(args):
    """Names of the phases and what the console says at their ends."""
    found = {"L1 /init": "nestbox: L1 /init reached", "KVM loaded": " is loaded:",
             "tiny guests": "tiny: 7 guests, 0 failed"}
    for guest in args.guests.split(","):
        found[f"L2 {guest}"] = f"nestbox: L1 has run L2 {guest}"
    return found


def bochs_command(args, append, kernel, initrd, folder):
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which(args.bochs) is None or shutil.which("grub-mkrescue") is None:
        raise nested_image.Unavailable("needs bochs and grub-mkrescue")
    tree = folder / "tree"
    (tree / "boot/grub").mkdir(parents=True, exist_ok=True)
    shutil.copy(kernel, tree / "vmlinuz")
    shutil.copy(initrd, tree / "initrd")
    (tree / "boot/grub/grub.cfg").write_text(GRUB.format(append=append))
    nested_image.run(["grub-mkrescue", "-o", str(folder / "cd.iso"), str(tree)])
    (folder / "bochsrc").write_text(BOCHS.format(
        megs=1024, model=args.bochs_model, iso=folder / "cd.iso", console=folder / "console",
        folder=folder, display=args.bochs_display))
    console = folder / "console"
    if not console.exists():
        os.mkfifo(console)
    # A debugger, if there is one, is told to go on; the console comes through the fifo.
    start = f"exec {args.bochs} -q -f {folder / 'bochsrc'} >/dev/null"
    return ["sh", "-c", f"cat {console} & {start} <<END\nc\nEND"]


def run(args, name, command):
    """CPU seconds at the end of each phase."""
    waiting, reached = phases(args), {}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, start_new_session=True)
    for raw in child.stdout:
        line = raw.decode(errors="replace")
        for phase, text in list(waiting.items()):
            if text in line:
                reached[phase] = cpu_seconds(child.pid)
                del waiting[phase]
        if "nestbox: L1 FAILED" in line or "nestbox: L1 is done" in line:
            break
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for phase in waiting:
        print(f"{name}: did not get to the end of '{phase}'", flush=True)
    return reached


def prepare(args, name):
    vendor = "amd" if name in ("tcg", "nestbox-amd") else "intel"
    options = [args.nestbox, args.l1, args.guests, f"--kvm={vendor}", f"--params={args.params}",
               f"--folder={ROOT / 'build/guests'}"]
    if name == "tcg":
        options.append("--machine=qemu")
    job = nested_linux.parse(options)
    if name != "bochs":
        if name != "tcg" and not nested_linux.has_cpu(job):
            raise nested_image.Unavailable(f"{args.nestbox} has no such CPU")
        return nested_linux.command_line(job)
    kernel, initrd = nested_image.make(job.folder, args.l1, args.guests)
    return bochs_command(args, nested_linux.kernel_line(job), kernel, initrd, ROOT / "build/bochs")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nestbox", default=str(ROOT / "build/release/nestbox"))
    parser.add_argument("--machines", default="nestbox,nestbox-amd,tcg,bochs")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--l1", default="amd64")
    parser.add_argument("--guests", default="amd64,686")
    parser.add_argument("--params", default="")
    parser.add_argument("--bochs", default="bochs")
    parser.add_argument("--bochs-display", default='rfb, options="timeout=0"',
                        help="nogui, if it is built")
    parser.add_argument("--bochs-model", default="corei7_haswell_4770")
    args = parser.parse_args()
    commands, times = {}, {}
    for name in args.machines.split(","):
        try:
            commands[name] = prepare(args, name)
        except nested_image.Unavailable as error:
            print(f"{name}: left out: {error}")
    for number in range(args.runs):
        for name, command in commands.items():
            for phase, seconds in run(args, name, command).items():
                times.setdefault((name, phase), []).append(seconds)
                print(f"run {number + 1} {name:12} {phase:12} {seconds:7.2f} s", flush=True)
    print(f"\n{'CPU seconds to the end of':26}" + "".join(f"{name:>14}" for name in commands))
    for phase in phases(args):
        row = (times.get((name, phase)) for name in commands)
        print(f"{phase:26}" + "".join(f"{statistics.median(seconds) if seconds else 0:14.2f}"
                                      for seconds in row))


main()
