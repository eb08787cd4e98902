# SPDX-License-Identifier: MIT
"""The image of a Xen dom0: the initramfs of nested_image with Xen's tools and guests for them."""
import pathlib
import re

import nested_image

DEVICES = ("xen-privcmd", "xen-evtchn", "xen-gntdev", "xenfs")
LOADER = "lib64/ld-linux-x86-64.so.2"
# Where the packages have them, and where xl looks for what it starts itself.
PROGRAMS = ("usr/lib/xen-4.*/bin/xl", "usr/lib/xen-4.*/bin/xenstored",
            "usr/lib/xen-4.*/bin/xenconsoled", "usr/lib/xen-4.*/bin/xen-init-dom0",
            "usr/libexec/xen-qemu-system-i386")
DATA = ("usr/lib/xen-4.*/boot/hvmloader", "usr/share/seabios/bios-256k.bin",
        "usr/share/qemu/linuxboot.bin", "usr/share/qemu/linuxboot_dma.bin",
        "usr/share/qemu/keymaps/en-us")
HERE = pathlib.Path(__file__).resolve().parent


def libraries(path):
    """The libraries that an ELF file names as needed."""
    listed = nested_image.run(["readelf", "-d", str(path)])
    return re.findall(r"\(NEEDED\).*\[([^]]*)\]", listed)


def add_libraries(archive, root, wanted):
    """The libraries of these names and what they need, in /lib."""
    done = {pathlib.Path(LOADER).name}
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        done.add(name)
        found = [path for path in (root / "lib/x86_64-linux-gnu" / name,
                                   root / "usr/lib/x86_64-linux-gnu" / name) if path.exists()]
        if not found:
            raise nested_image.Unavailable(f"no package has {name}")
        archive.file(f"lib/{name}", found[0].read_bytes())
        wanted += libraries(found[0])


def add_tools(archive, root):
    """The programs and what they read at their places, and their libraries."""
    programs = [path for pattern in PROGRAMS for path in root.glob(pattern)]
    data = [path for pattern in DATA for path in root.glob(pattern)]
    names = [path.relative_to(root) for path in programs + data] + [pathlib.Path(LOADER)]
    folders = {parent for name in names for parent in name.parents} | {pathlib.Path("lib")}
    for parent in sorted(folders - {pathlib.Path(".")}):
        archive.folder(str(parent))
    for name in names:
        archive.file(str(name), (root / name).read_bytes())
    # glibc itself loads libgcc_s when a thread is cancelled.
    wanted = [name for path in programs for name in libraries(path)]
    add_libraries(archive, root, ["libgcc_s.so.1", *wanted])


def make(folder, flavours):
    """Fetches Xen and writes the image; returns the paths of hypervisor, dom0's kernel and image."""
    folder = pathlib.Path(folder)
    nested_image.run(["sh", str(HERE / "xen.sh"), str(folder)])
    parts = nested_image.flavour_folder(folder, "amd64", DEVICES[0])
    archive = nested_image.Archive()
    nested_image.add_init(archive, parts)
    nested_image.add_modules(archive, parts / "modules",
                             {"xen": nested_image.load_order(parts / "modules", *DEVICES)})
    archive.file("bin/domains", (HERE / "nested" / "domains").read_bytes())
    add_tools(archive, folder / "xen" / "root")
    nested_image.add_guests(archive, folder, ",".join(flavours))
    image = nested_image.store(folder, f"xen-{'-'.join(flavours)}", archive.finish())
    return folder / "xen" / "hypervisor", parts / "vmlinuz", image
