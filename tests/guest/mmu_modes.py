#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One Debian boot under walks and under shadow pages: mmu_modes.py NESTBOX FLAVOUR CPUS FOLDER [all]

Console output and state hash at the end are the same for each coherent mode, whatever is dropped, audited
or reclaimed meanwhile; lazy runs boot, and repeat. No refresh of a shadow page was ever refused for its
role (sync_role_mismatch), and the counters show that shadow pages answered. `all`: more modes, for people.
Status 77 if the guest cannot be made.
"""
import json
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing new in the source tree
from boot_debian import HERE, boot, command_line  # noqa: E402

SECONDS = 3000  # for one boot; ctest has its own limit
SHADOW = ["--mmu=shadow"]
SHORT = {
    "audited": ["--audit=20000000"],
}
MORE = {
    "roles as KVM's": ["--shadow-roles=kvm"],
    "drop": ["--sync=drop"],
    "drop, audited": ["--sync=drop", "--audit=20000000"],
    "small quota": ["--shadow-quota=256K", "--audit=20000000"],
}
LAZY = {
    "lazy": ["--sync=lazy"],
}
MORE_LAZY = {
    "lazy, audited": ["--sync=lazy", "--audit=20000000"],
    "lazy, small quota": ["--sync=lazy", "--shadow-quota=256K", "--audit=20000000"],
}
SLOW = {  # minutes each: all CPUs decode again what they lose
    "caches dropped": ["--drop-caches=1"],
    "drop, caches dropped": ["--sync=drop", "--drop-caches=2"],
}


def run(command, options):
    """What the guest printed with the hash, and the counters."""
    text = boot(command + ["--stats=json", *options], SECONDS)
    start = text.rindex('{\n  "instructions"')
    return text[:start], json.loads(text[start:])


def shadowed(command, name, options):
    seen, stats = run(command, SHADOW + options)
    shadow = stats["shadow"]
    if shadow["sync_role_mismatch"] != 0:
        sys.exit(f"{name}: sync_role_mismatch is {shadow['sync_role_mismatch']}")
    if shadow["hits"] < 1000 or shadow["hits"] > shadow["lookups"]:
        sys.exit(f"{name}: {shadow['hits']} of {shadow['lookups']} lookups answered")
    print(f"{name}: {shadow['hits']} of {shadow['lookups']} lookups, {shadow['unsyncs']} times unsync, "
          f"{shadow['reclaimed']} pages reclaimed", flush=True)
    return seen


def check_coherent(command, modes, walked):
    for name, options in modes.items():
        if shadowed(command, name, options) != walked:
            sys.exit(f"{name}: differs from --mmu=walk")


def main():
    nestbox, flavour, cpus, folder = sys.argv[1:5]
    more = sys.argv[5:] == ["all"]
    made = subprocess.run(["sh", str(HERE / "debian.sh"), flavour, folder], capture_output=True, check=False)
    if made.returncode != 0:
        print(f"skipped: {made.stderr.decode().strip()}")
        sys.exit(77)
    command = command_line(nestbox, folder, flavour, cpus, "run=echo,the,answer,is,$((6*7))")
    walked, _ = run(command, ["--mmu=walk"])
    check_coherent(command, {**SHORT, **(MORE if more else {})}, walked)
    for name, options in {**LAZY, **(MORE_LAZY if more else {})}.items():
        first = shadowed(command, name, options)
        if more and shadowed(command, name, options) != first:
            sys.exit(f"{name}: two runs differ")
    if more:
        check_coherent(command, SLOW, walked)
    print(walked.splitlines()[-1])


if __name__ == "__main__":
    main()
