#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot a Debian kernel to BusyBox: boot_debian.py NESTBOX FLAVOUR CPUS FOLDER [console|caches|mmu]

Makes the guest with debian.sh in FOLDER (status 77 if that cannot be). Without `console`: the kernel's
command line runs a command, and two runs, one of them interpreted, must end with the same state hash. With it: a command is typed on
the serial console through a pty, and `poweroff -f` must end the run with status 0. With `caches`: the
first part of the boot must leave the same state hash when caches are dropped at random instructions. With `mmu`: shadow
pages under each policy give the same hash as walks.
"""
import os
import pathlib
import pty
import select
import subprocess
import sys
import time

STATUS_BUDGET = 5  # --max-insns used up
BUDGET = 150_000_000
HERE = pathlib.Path(__file__).resolve().parent


def command_line(nestbox, folder, flavour, cpus, append):
    guest = pathlib.Path(folder) / flavour
    return [nestbox, "-display", "none", "-serial", "stdio", "-m", "512", "-smp", cpus, "-no-reboot",
            "-kernel", str(guest / "vmlinuz"), "-initrd", str(guest / "initrd"),
            "-append", "console=ttyS0 quiet cryptomgr.notests " + append]


def boot(command, seconds=280):
    try:
        done = subprocess.run(command + ["--state-hash"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"not finished after {seconds} s: {' '.join(command)}")
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0 or "nestbox: /init reached" not in text or "the answer is 42" not in text:
        sys.exit(f"status {done.returncode}\n{text[-3000:]}{done.stderr.decode()}")
    return text


def type_on_console(command):
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    seen, steps, limit = "", [("# ", "echo the answer is $((6 * 7))\n"),
                              ("the answer is 42", "poweroff -f\n")], time.time() + 280
    while time.time() < limit:
        if not select.select([terminal], [], [], 5)[0]:
            continue
        try:
            seen += os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break
        if steps and steps[0][0] in seen:
            seen = ""
            os.write(terminal, steps.pop(0)[1].encode())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if steps or status != 0:
        sys.exit(f"status {status}, still to come: {steps}\n{seen[-3000:]}")


def drop_caches(command):
    command = command + ["--state-hash", f"--max-insns={BUDGET}"]
    seen = set()
    for options in ([], ["--drop-caches=1"], ["--drop-caches=2"]):
        done = subprocess.run(command + options, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=280, check=False)
        if done.returncode != STATUS_BUDGET:
            sys.exit(f"status {done.returncode}\n{done.stderr.decode()}")
        seen.add(done.stdout)
    if len(seen) != 1:
        sys.exit("the runs differ: " + " ".join(text.decode().splitlines()[-1] for text in seen))


def modes(command):
    """Walks and shadow pages boot the same; lazy boots twice the same."""
    first = boot(command + ["--mmu=walk"])
    for options in (["--audit=5000000"], ["--sync=drop"], ["--shadow-quota=256K"]):
        if boot(command + ["--mmu=shadow"] + options) != first:
            sys.exit(f"--mmu=shadow {options[0]} differs from --mmu=walk")
    lazy = command + ["--mmu=shadow", "--sync=lazy"]
    if boot(lazy) != boot(lazy):
        sys.exit("the two lazy runs differ")


def main():
    nestbox, flavour, cpus, folder = sys.argv[1:5]
    made = subprocess.run(["sh", str(HERE / "debian.sh"), flavour, folder], capture_output=True,
                          check=False)
    if made.returncode != 0:
        print(f"skipped: {made.stderr.decode().strip()}")
        sys.exit(77)
    if sys.argv[5:] == ["console"]:
        type_on_console(command_line(nestbox, folder, flavour, cpus, ""))
        return
    if sys.argv[5:] == ["caches"]:
        drop_caches(command_line(nestbox, folder, flavour, cpus, ""))
        return
    command = command_line(nestbox, folder, flavour, cpus, "run=echo,the,answer,is,$((6*7))")
    if sys.argv[5:] == ["mmu"]:
        modes(command)
        return
    first = boot(command)
    if boot(command + ["--engine=interp"]) != first:
        sys.exit("the runs of the translator and of the interpreter differ")
    print(first.splitlines()[-1])


if __name__ == "__main__":
    main()
