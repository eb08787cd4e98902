#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the tests of the shadow engine notice mistakes in it? run.py [NAME...]

Makes each mistake of mutations.py in a copy of the sources, one at a time, rebuilds what depends on it, and
runs the MMU's unit tests: at least one must fail, crash, or hang. Status 1 if a mutant survives, if a
mutation does not apply at exactly one place, or if the tests fail without any.
"""
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # nothing new in the source tree
from mutations import MUTATIONS  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("base", "mmu", "mmu/shadow")
FLAGS = ["-std=gnu17", "-O1", "-DNDEBUG", "-fno-strict-aliasing", f'-DTESTS_FOLDER="{ROOT}/tests"']
# Sources beside a test's own.
HELPERS = {"test_shadow_fuzz": ["shadow_fuzz", "shadow_reference", "shadow_trace"]}
ENGINES = ("strict", "burst", "drop", "lazy", "pieces", "parity", "quota", "lazy_quota")
NESTED = ("strict", "combined_burst", "combined_pieces", "combined_drop", "combined_lazy", "combined_quota")
SECONDS = 20
JOBS = 2


@dataclasses.dataclass
class Test:
    name: str
    program: str
    environment: dict


def package_flags(what):
    text = subprocess.run(["pkg-config", what, "check"], capture_output=True, text=True, check=True).stdout
    return shlex.split(text)


def gcc(*arguments):
    done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def compile_c(source, target, includes):
    gcc(*FLAGS, *(f"-I{folder}" for folder in includes), *package_flags("--cflags"),
        "-c", str(source), "-o", str(target))


def object_of(folder, source):
    return folder / "objects" / (str(source).replace("/", "+") + ".o")


def sources(tree):
    return [path.relative_to(tree) for folder in FOLDERS for path in sorted((tree / folder).glob("*.c"))]


def programs(tree):
    return sorted(path.stem for path in (tree / "tests/mmu").glob("test_*.c"))


def tests(names):
    """Single scenarios first: they say most."""
    wanted = [name for name in names if name.startswith("test_shadow_") and name != "test_shadow_fuzz"]
    found = [Test("mmu." + name, name, {}) for name in wanted + ["test_shadow_fuzz"]]
    found += [Test(f"mmu.nested_matrix.{engine}", "test_nested_matrix", {"NESTBOX_TEST_SHADOW": engine})
              for engine in NESTED]
    return found + [Test(f"mmu.coherence.{engine}", "test_coherence",
                         {"NESTBOX_TEST_SHADOW": engine, "NESTBOX_MMU_SEEDS": "16"}) for engine in ENGINES]


def link(objects, program, tree, folder):
    units = [program, *HELPERS.get(program, [])]
    gcc("-o", str(folder / program), *(str(object_of(tree, f"tests/mmu/{unit}.c")) for unit in units),
        *map(str, objects), *package_flags("--libs"), "-lm")


def failure(test, folder):
    """None if the test passes, else what failed."""
    environment = {**os.environ, **test.environment, "NESTBOX_NO_SHRINK": "1"}
    log = folder / "log"
    with open(log, "w+", errors="replace") as output:
        with subprocess.Popen([str(folder / test.program)], stdin=subprocess.DEVNULL, stdout=output,
                              stderr=output, env=environment, start_new_session=True) as process:
            try:
                status = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                return f"{test.name}: hangs"
        if status == 0:
            return None
        output.seek(0)
        cases = re.findall(r":[FE]:[^:]*:(\w+):", output.read())
    return f"{test.name}: {cases[0] if cases else f'status {status}'}"


def build_all(tree, selection):
    (tree / "objects").mkdir()
    units = sources(tree)
    for program in {test.program for test in selection}:
        units += [pathlib.Path(f"tests/mmu/{unit}.c") for unit in (program, *HELPERS.get(program, []))]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda unit: compile_c(tree / unit, object_of(tree, unit), [tree]), units))


def mutated(mutation, tree):
    text = (tree / mutation.file).read_text()
    found = text.count(mutation.old)
    if found != 1:
        raise RuntimeError(f"{mutation.name}: its old text is {found} times in {mutation.file}")
    return text.replace(mutation.old, mutation.new)


def try_mutation(mutation, tree, selection):
    """What kills the mutant, or None."""
    with tempfile.TemporaryDirectory(dir=tree) as name:
        folder = pathlib.Path(name)
        place = folder / mutation.file
        place.parent.mkdir(parents=True)
        (folder / "objects").mkdir()
        place.write_text(mutated(mutation, tree))
        changed = [pathlib.Path(mutation.file)]
        if mutation.file.endswith(".h"):
            changed = [unit for unit in sources(tree) if unit.parts[0] == "mmu"]
        objects = {unit: object_of(tree, unit) for unit in sources(tree)}
        for unit in changed:
            source = folder / unit if (folder / unit).exists() else tree / unit
            objects[unit] = object_of(folder, unit)
            compile_c(source, objects[unit], [folder, tree])
        linked = set()
        for test in selection:
            if test.program not in linked:
                link(objects.values(), test.program, tree, folder)
                linked.add(test.program)
            found = failure(test, folder)
            if found is not None:
                return found
    return None


def main():
    wanted = sys.argv[1:]
    chosen = [m for m in MUTATIONS if not wanted or m.name in wanted]
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        tree = pathlib.Path(name)
        for folder in (*FOLDERS, "tests/mmu"):
            shutil.copytree(ROOT / folder, tree / folder, dirs_exist_ok=True)
        for header in (ROOT / "tests").glob("*.h"):
            shutil.copy(header, tree / "tests")
        for mutation in chosen:
            mutated(mutation, tree)
        selection = tests(programs(tree))
        build_all(tree, selection)
        objects = [object_of(tree, unit) for unit in sources(tree)]
        for program in {test.program for test in selection}:
            link(objects, program, tree, tree)
        for test in selection:
            found = failure(test, tree)
            if found is not None:
                sys.exit(f"without any mutation: {found}")
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            results = pool.map(lambda m: try_mutation(m, tree, selection), chosen)
            for mutation, killer in zip(chosen, results):
                bad += killer is None
                print(f"{mutation.name:34} {killer or 'SURVIVES: ' + mutation.reason}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} mutants killed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(str(error))
