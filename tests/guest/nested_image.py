# SPDX-License-Identifier: MIT
"""Images for nested guests: a Debian initramfs with KVM, our monitor and the guests inside.

A guest is named by its flavour, and what runs inside of it: "686", "amd64+686". The image of
"amd64+686" holds in /guests/686 a kernel and the image of "686". All have the same /init
(nested/init). The archives are not compressed, so no level spends its time on that.
"""
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
APPLETS = ("sh mount poweroff reboot sleep echo cat uname ls dmesg tail head grep tr sed nproc "
           "insmod mkdir seq wc md5sum ln rm").split()
SOURCES = ("vmm.c", "ports.c", "linux.c", "tiny.c")


class Unavailable(Exception):
    """The guest cannot be made here: no packages, no compiler for the architecture."""


def run(command):
    """What the command writes to stdout."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise Unavailable(str(error)) from error
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stderr.decode().strip()}")
    return done.stdout.decode()


def build_vmm(folder, bits):
    to = folder / f"vmm{bits}"
    sources = [HERE / "nested" / name for name in SOURCES]
    newest = max(path.stat().st_mtime for path in (*sources, HERE / "nested" / "vmm.h"))
    if not to.exists() or to.stat().st_mtime < newest:
        run(["gcc", f"-m{bits}", "-std=gnu17", "-O2", "-static", "-Wall", "-Wextra", "-Werror",
             "-o", str(to), *map(str, sources)])
    return to


def load_order(modules, *wanted):
    """The modules and what they need, in the order to load."""
    order = []

    def visit(name):
        path = modules / f"{name}.ko"
        if not path.exists():
            raise Unavailable(f"{path} is missing")
        needs = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        for needed in filter(None, needs.group(1).decode().split(",")):
            visit(needed)
        if name not in order:
            order.append(name)
    for name in wanted:
        visit(name)
    return order


def add_modules(archive, modules, orders):
    """/modules with all that is in the orders, and for each of them a file of its name."""
    archive.folder("modules")
    for name in dict.fromkeys(name for order in orders.values() for name in order):
        archive.file(f"modules/{name}.ko", (modules / f"{name}.ko").read_bytes())
    for kind, order in orders.items():
        archive.file(f"modules/{kind}", " ".join(order).encode() + b"\n")


class Archive:
    """A cpio archive in the "newc" form, with fixed times and owners."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b""):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self.data += bytes(-len(self.data) % 4)
        self.data += content + bytes(-len(content) % 4)

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, content):
        self.add(name, 0o100755, content)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def inside(guests):
    """The guests inside of each, by flavour: "amd64+686,amd64" gives what is asked of /guests."""
    for guest in filter(None, guests.split(",")):
        flavour, _, deeper = guest.partition("+")
        yield guest, flavour, deeper


def flavour_folder(folder, flavour, module="kvm"):
    """Where the flavour's kernel, BusyBox and modules are, that module among them."""
    run(["sh", str(HERE / "debian.sh"), flavour, str(folder), module])
    return folder / flavour


def add_init(archive, parts):
    """/init, BusyBox and the folders they want."""
    for name in ("bin", "proc", "sys", "dev", "tmp"):
        archive.folder(name)
    archive.file("init", (HERE / "nested" / "init").read_bytes())
    archive.file("bin/busybox", (parts / "busybox").read_bytes())
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")


def add_guests(archive, folder, guests):
    """/guests: the kernel and the image of each."""
    archive.folder("guests")
    for guest, inner, deeper in inside(guests):
        archive.folder(f"guests/{guest}")
        kernel = flavour_folder(folder, inner) / "vmlinuz"
        archive.file(f"guests/{guest}/vmlinuz", kernel.read_bytes())
        archive.file(f"guests/{guest}/initrd", image(folder, inner, deeper or None))


def image(folder, flavour, guests):
    """The initramfs, as bytes, of a machine with this kernel that runs these guests."""
    parts = flavour_folder(folder, flavour)
    archive = Archive()
    add_init(archive, parts)
    if guests is not None:
        bits = 64 if flavour.endswith("amd64") else 32
        archive.file("bin/vmm", build_vmm(folder, bits).read_bytes())
        add_modules(archive, parts / "modules",
                    {vendor: load_order(parts / "modules", f"kvm-{vendor}")
                     for vendor in ("intel", "amd")})
        add_guests(archive, folder, guests)
    return archive.finish()


def store(folder, name, content):
    """Writes FOLDER/nested/NAME/initrd, if that is not yet its content; returns the path."""
    to = folder / "nested" / name
    to.mkdir(parents=True, exist_ok=True)
    initrd = to / "initrd"
    if not initrd.exists() or initrd.read_bytes() != content:
        initrd.write_bytes(content)
    return initrd


def make(folder, flavour, guests):
    """The image of image() on disk; returns the paths of kernel and initrd."""
    folder = pathlib.Path(folder)
    content = image(folder, flavour, guests)
    name = f"{flavour}-{guests.replace(',', '-') or 'tiny'}"
    return folder / flavour / "vmlinuz", store(folder, name, content)
