#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run kvm-unit-tests images on nestbox and compare with kvm-unit-tests.cfg (which documents its format).

    kvm_unit_tests.py [-j N] [--twice SECONDS | --mmu-modes] [-v] NESTBOX [NAME...]

The images are not part of this project: build the suite for x86_64 and for i386 and name the two x86
folders in NESTBOX_KUT and NESTBOX_KUT32. Without the first, the whole is skipped (status 77); without the
second, its configurations are. A configuration that took less than --twice seconds is run again and must
leave the same state hash. Status 0: everything as expected.

With --mmu-modes, only the paging group is run (about an hour, as access has 32 thousand million
instructions), each configuration under every mode of the MMU, always to the result that
kvm-unit-tests.cfg asks for. The coherent modes must leave the output and state hash of --mmu=walk;
two lazy runs must leave the same; no refresh of a shadow page may be refused for its role.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kvm-unit-tests.cfg")
FOLDERS = {64: "NESTBOX_KUT", 32: "NESTBOX_KUT32"}
MODULE = "environment"
SUCCESS = 1  # the suite writes 0 to isa-debug-exit, which ends with (0 << 1) | 1
ALL_SKIPPED = 77
SKIPPED = 77  # for ctest
PAGING = ["access", "access-reduced-maxphyaddr", "smap", "pku", "pks", "la57", "pcid-enabled", "pcid-disabled",
          "pcid-asymmetric", "rmap_chain", "memory", "emulator", "smap-32", "emulator-32"]
WALK = ["--mmu=walk"]
SHADOW = ["--mmu=shadow"]
SMALL = "--shadow-quota=256K"  # 64 pages, the least there is
AUDIT = "audit"  # becomes --audit=N, with N by the length of the walked run
COHERENT = {
    "strict": [],
    "strict audited": [AUDIT],
    "strict small": [SMALL, AUDIT],
    "strict dropping": ["--drop-caches=1"],
    "drop audited": ["--sync=drop", AUDIT],
    "drop small": ["--sync=drop", SMALL, AUDIT],
}
LAZY = {  # two runs each
    "lazy": ["--sync=lazy"],
    "lazy small": ["--sync=lazy", SMALL, AUDIT],
}
AUDITS = 5000  # in a long run, and no more often than LEAST_AUDIT
LEAST_AUDIT = 997


@dataclass
class Configuration:
    name: str
    bits: int
    image: str
    cpus: int
    memory: int
    seconds: int
    cpu: str
    append: str
    options: list = field(default_factory=list)
    fails: list = field(default_factory=list)
    skips: list = field(default_factory=list)
    xpasses: list = field(default_factory=list)
    environment: list = field(default_factory=list)
    leave: str = ""
    each: list = field(default_factory=list)


@dataclass
class Outcome:
    status: int  # None: out of time
    output: str
    errors: str
    seconds: float

    def checks(self, word):
        return re.findall(rf"^{word}: *(.*?)\r?$", self.output, re.MULTILINE)

    def state_hash(self):
        return re.findall(r"state-hash .*", self.output + self.errors)


def read_configurations(path):
    found = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                if line[0] in " \t":
                    refine(found[-1], words[0], line.strip()[len(words[0]):].strip())
                else:
                    name, bits, image, cpus, memory, seconds, cpu, append = words
                    found.append(Configuration(name, int(bits), image, int(cpus), int(memory),
                                               int(seconds), cpu, append))
            except (ValueError, IndexError) as error:
                sys.exit(f"{path}:{number}: {error}")
    return [alone for configuration in found for alone in spread(configuration)]


def names_of(configuration):
    """What chooses it: its name, and that of the group it was spread from."""
    return {configuration.name, configuration.name.partition(":")[0]}


def spread(configuration):
    """A configuration for each subtest that is to be run in a boot of its own."""
    if not configuration.each:
        return [configuration]
    return [dataclasses.replace(configuration, name=f"{configuration.name}:{test}", append=test)
            for test in configuration.each]


def refine(configuration, word, rest):
    if word == "options":
        configuration.options += rest.split()
    elif word == "environment":
        text, _, reason = rest.partition(" -- ")
        if "=" not in text or not reason:
            raise ValueError("environment: expected NAME=VALUE -- REASON")
        configuration.environment.append(text.strip())
    elif word == "leave" and rest:
        configuration.leave = rest
    elif word == "append" and rest:
        configuration.append = rest
    elif word == "each" and rest:
        configuration.each += rest.split()
    elif word in ("fails", "skips", "xpasses"):
        text, dashes, reason = rest.partition(" -- ")
        if not (dashes and text.strip() and reason.strip()):
            raise ValueError(f"{word}: expected TEXT -- REASON")
        getattr(configuration, word).append(text.strip())
    else:
        raise ValueError(f"unknown word '{word}'")


def command(nestbox, configuration, image, folder):
    """The command line: in the folder, as the guest sees the module's name, which must not vary."""
    line = ["env", "-C", folder, os.path.abspath(nestbox), "-no-reboot", "-nodefaults", "-device", "pc-testdev",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-display", "none",
            "-serial", "stdio", "-device", "pci-testdev", "-machine", "accel=tcg",
            "-kernel", os.path.abspath(image), "-smp", str(configuration.cpus), "-m", str(configuration.memory),
            "-initrd", MODULE]
    if configuration.cpu != "-":
        line += ["-cpu", configuration.cpu]
    if configuration.append != "-":
        line += ["-append", configuration.append]
    return line + configuration.options


def environment_module(configuration):
    values = {"NR_CPUS": configuration.cpus, "MEMSIZE": configuration.memory, "TEST_DEVICE": 1,
              "BOOTLOADER": 0}
    values.update(word.split("=", 1) for word in configuration.environment)
    return "".join(f"{name}={value}\n" for name, value in values.items())


def run(line, seconds):
    begin = time.monotonic()
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds,
                              check=False)
        status, output, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, output, errors = None, late.stdout or b"", late.stderr or b""
    return Outcome(status, output.decode(errors="replace"), errors.decode(errors="replace"),
                   time.monotonic() - begin)


def differences(expected, lines, kind):
    """Lines that no expectation names, and expectations that no line meets."""
    for line in lines:
        if not any(text in line for text in expected):
            yield f"{kind}: {line}"
    for text in expected:
        if not any(text in line for line in lines):
            yield f"no {kind}: {text} (remove it from the list)"


def judge(configuration, outcome):
    """What is not as expected."""
    if outcome.status is None:
        return [f"not finished after {configuration.seconds} s"]
    wrong = list(differences(configuration.fails, outcome.checks("FAIL"), "FAIL"))
    wrong += differences(configuration.skips, outcome.checks("SKIP"), "SKIP")
    wrong += differences(configuration.xpasses, outcome.checks("XPASS"), "XPASS")
    # The suite's own runner counts words on stderr as failure unless they are warnings.
    wrong += [f"stderr: {line}" for line in outcome.errors.splitlines()
              if line.strip() and "warning" not in line and not line.startswith("state-hash")]
    accepted = {SUCCESS}
    if configuration.fails or configuration.xpasses:
        accepted = {3}
    elif configuration.skips and not outcome.checks("PASS"):
        accepted.add(ALL_SKIPPED)
    if outcome.status not in accepted and not (wrong and configuration.fails):
        wrong.append(f"exit status {outcome.status}")
    return wrong


def image_of(configuration):
    """(path, None), or (None, why there is none)."""
    if configuration.leave:
        return None, configuration.leave
    folder = os.environ.get(FOLDERS[configuration.bits])
    if not folder:
        return None, f"{FOLDERS[configuration.bits]} is not set"
    image = os.path.join(folder, configuration.image + ".flat")
    if not os.path.exists(image):
        return None, f"{configuration.image}.flat is not in {FOLDERS[configuration.bits]}"
    return image, None


def counts(outcome):
    return (f"{len(outcome.checks('PASS'))} checks, {len(outcome.checks('FAIL'))} failed, "
            f"{len(outcome.checks('SKIP'))} skipped, status {outcome.status}, "
            f"{outcome.seconds:.1f} s")


def run_once(line, configuration, twice):
    """What is not as expected, and the outcome."""
    if twice > 0:
        line.append("--state-hash")
    outcome = run(line, configuration.seconds)
    wrong = judge(configuration, outcome)
    if not wrong and outcome.seconds < twice:
        again = run(line, configuration.seconds)
        if again.state_hash() != outcome.state_hash() or not again.state_hash():
            wrong.append(f"the second run ends otherwise: {outcome.state_hash()} then "
                         f"{again.state_hash()}")
    return wrong, outcome


def run_mode(line, configuration, options, audit=LEAST_AUDIT):
    """What is not as expected, the outcome without the counters, and the counters."""
    options = [f"--audit={audit}" if word == AUDIT else word for word in options]
    outcome = run(line + ["--state-hash", "--stats=json"] + options, 4 * configuration.seconds)
    text, brace, stats = outcome.output.rpartition('{\n  "instructions"')
    if not brace:
        return judge(configuration, outcome) or ["no counters"], outcome, None
    outcome.output, stats = text, json.loads(brace + stats)
    wrong = judge(configuration, outcome)
    if options != WALK and stats["shadow"]["sync_role_mismatch"] != 0:
        wrong.append(f"sync_role_mismatch is {stats['shadow']['sync_role_mismatch']}")
    if not outcome.state_hash():
        wrong.append("no state hash")
    return wrong, outcome, stats


def run_modes(line, configuration):
    """What is not as expected, the outcome of the walked run or the last that is wrong, and times."""
    wrong, shown, stats = run_mode(line, configuration, WALK)
    if wrong:
        return wrong, shown, ""
    walked, audit = shown, max(LEAST_AUDIT, stats["instructions"] // AUDITS)
    times = [f"walk {walked.seconds:.1f}"]
    for name, options in {**COHERENT, **LAZY}.items():
        found, outcome, _ = run_mode(line, configuration, SHADOW + options, audit)
        times.append(f"{name} {outcome.seconds:.1f}")
        as_what, expected = "--mmu=walk", walked
        if name in LAZY and not found:
            as_what = "another run"
            found, expected, _ = run_mode(line, configuration, SHADOW + options, audit)
        if not found and outcome.output != expected.output:
            found = [f"does not end as {as_what}: {outcome.state_hash()}, {expected.state_hash()}"]
        if found:
            shown = outcome
            wrong += [f"{name}: {text}" for text in found]
    return wrong, shown, "s, ".join(times) + "s"


def run_configuration(nestbox, configuration, options):
    """(verdict, text, outcome): verdict is passed, failed or skipped."""
    image, why = image_of(configuration)
    if image is None:
        return "skipped", why, None
    with tempfile.TemporaryDirectory(prefix="nestbox-kut-") as folder:
        with open(os.path.join(folder, MODULE), "w", encoding="utf-8") as environment:
            environment.write(environment_module(configuration))
        line = command(nestbox, configuration, image, folder)
        if options.mmu_modes:
            wrong, outcome, times = run_modes(line, configuration)
            more = [times, *outcome.state_hash()]
        else:
            wrong, outcome = run_once(line, configuration, options.twice)
            more = []
    text = [counts(outcome)] + more + wrong
    return ("failed" if wrong else "passed"), "\n        ".join(text), outcome


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--twice", type=float, default=0, metavar="SECONDS",
                        help="run again what took less, and compare state hashes")
    parser.add_argument("--mmu-modes", action="store_true", help="the paging group under each MMU mode")
    parser.add_argument("-v", action="store_true", help="show the output of what failed")
    parser.add_argument("nestbox")
    parser.add_argument("names", nargs="*", help="only these configurations")
    return parser.parse_args()


def main():
    options = arguments()
    configurations = read_configurations(CONFIG)
    names = options.names or (PAGING if options.mmu_modes else [])
    unknown = set(names) - {name for c in configurations for name in names_of(c)}
    if unknown:
        sys.exit("no such configuration: " + " ".join(sorted(unknown)))
    if names:
        configurations = [c for c in configurations if names_of(c) & set(names)]
    if not os.environ.get(FOLDERS[64]):
        print(f"kvm-unit-tests: {len(configurations)} configurations skipped: {FOLDERS[64]} names no "
              "folder of images")
        sys.exit(SKIPPED)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        results = pool.map(lambda c: run_configuration(options.nestbox, c, options), configurations)
        for configuration, (verdict, text, outcome) in zip(configurations, results):
            count[verdict] += 1
            print(f"{verdict:8}{configuration.name:28} {text}", flush=True)
            if options.v and verdict == "failed" and outcome:
                print("    | " + (outcome.output + outcome.errors).replace("\n", "\n    | "))
    print(f"kvm-unit-tests: {count['passed']} passed, {count['failed']} failed, "
          f"{count['skipped']} skipped")
    sys.exit(1 if count["failed"] else 0)


if __name__ == "__main__":
    main()
