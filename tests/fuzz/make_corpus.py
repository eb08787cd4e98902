#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the generated part of the fuzz corpora: make_corpus.py [FOLDER]

The inputs are small and well formed, one for each thing a target knows; mutations do the rest. Inputs
that once broke something stand beside them under names of their own and are kept.
"""

import os
import random
import struct
import sys

FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus")


def put(target, name, data):
    folder = os.path.join(FOLDER, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


# ---- decoder: mode, features to hide, code ----

CODE = {
    "integer": "00d8 6601c8 480fafc3 8b4424 10 c1e005 f7f1 0fb6c0 8d048d10000000 6bc007 87d8 d1e0",
    "prefixes": "f0480fb10b 66f2f36667f090 2e36263e64658b00 6666666666666666666666666690 f3a4 f2ae 67a5",
    "flow": "eb00 e800000000 0f8400000000 ff6000 ff5810 c20800 ca0400 cf cd80 cc ea1122334455 e2fe c8100001",
    "system": "0f0110 0f0118 0f20c0 0f22d8 0f30 0f32 0fa2 0f01f8 0f05 0f07 0f00d8 0f0138 f4 fa 0f09 0faee8 0fc7f8",
    "x87": "d9c1 dee9 d9fe dbe3 ddd8 df38 dfe0 9bd93e d9f2 ddb600010000 dbe8",
    "vectors": "0f58c1 660f6fc8 f30f7e0a f20f10d1 660f3a0fc108 660f3840c1 0f77 0fae00 660f38f14510 660f3adfc101",
    "vex": "c5f058c2 c4e27518c1 c4e37d19c101 c4e2f9b8c2 c5f877 c4e25bf7c1 c4e279180c18 c4c17d6f00 62f17c4858c1",
    "long": "6666666666666666666666666666 90 4848484848484848484848484848 90",
    "addressing": "8b00 8b4010 8b8010000000 8b0425785634 12 8b0500000000 678b00 428b44a010 0fa400 05 a1ffffffffffffffff",
}


def decoder():
    for number, (name, code) in enumerate(CODE.items()):
        code = bytes.fromhex(code.replace(" ", ""))
        for mode in (0, 3, 4):
            put("decoder", f"{name}-{mode}", bytes([mode, 0]) + code)
        put("decoder", f"{name}-other", bytes([(1, 2, 5)[number % 3], 0x55 if number & 1 else 0]) + code)


# ---- walker: entry size, seed, context, operations ----

def walker():
    rng = random.Random(1)
    for paging in range(5):
        for wide in (0, 1):
            head = bytes([wide | 2, paging, 7, paging]) + bytes([0x85, 0x60, paging * 3])
            accesses = b"".join(bytes([5, rng.randrange(256), rng.randrange(256), rng.randrange(4),
                                       rng.randrange(256), rng.randrange(16), rng.randrange(6)]) +
                                rng.randbytes(2) for _ in range(60))
            stores = b"".join(bytes([0, rng.randrange(16), rng.randrange(16)]) + rng.randbytes(4) +
                              bytes([wide, 5, 0, 0, 0, 0, 0, rng.randrange(6), 1, 2]) for _ in range(40))
            mixed = rng.randbytes(300)
            put("walker", f"format{paging}-{wide}-reads", head + accesses)
            put("walker", f"format{paging}-{wide}-stores", head + accesses[:64] + stores)
            put("walker", f"format{paging}-{wide}-mixed", head + mixed)


# ---- loaders: flags, module size, kernel, module ----

def elf32(entry, segments, notes=b""):
    """segments: (address, bytes, size in memory)."""
    count = len(segments) + (1 if notes else 0)
    at = 52 + 32 * count
    heads, body = b"", b""
    for address, data, memory in segments:
        heads += struct.pack("<8I", 1, at, address, address, len(data), memory, 7, 1)
        body += data
        at += len(data)
    if notes:
        heads += struct.pack("<8I", 4, at, 0, 0, len(notes), len(notes), 4, 4)
        body += notes
    return (b"\x7fELF\1\1\1" + bytes(9) +
            struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, entry, 52, 0, 0, 52, 32, count, 40, 0, 0) + heads + body)


def elf64(entry, segments, notes=b""):
    count = len(segments) + (1 if notes else 0)
    at = 64 + 56 * count
    heads, body = b"", b""
    for address, data, memory in segments:
        heads += struct.pack("<IIQQQQQQ", 1, 7, at, address, address, len(data), memory, 1)
        body += data
        at += len(data)
    if notes:
        heads += struct.pack("<IIQQQQQQ", 4, 4, at, 0, 0, len(notes), len(notes), 4)
        body += notes
    return (b"\x7fELF\2\1\1" + bytes(9) +
            struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, count, 64, 0, 0) + heads + body)


def multiboot1(flags, *address):
    return struct.pack("<3I", 0x1BADB002, flags, (-0x1BADB002 - flags) & 0xffffffff) + struct.pack(
        f"<{len(address)}I", *address)


def multiboot2(*tags):
    body = b""
    for kind, data in tags + ((0, b""),):
        tag = struct.pack("<HHI", kind, 0, 8 + len(data)) + data
        body += tag + bytes(-len(tag) % 8)
    size = 16 + len(body)
    return struct.pack("<4I", 0xE85250D6, 0, size, (-0xE85250D6 - size) & 0xffffffff) + body


def linux(version=0x20f, loadflags=1, setup=1, kernel=b"\xf4" * 700):
    header = bytearray((setup + 1) * 512)
    header[0x1f1] = setup
    struct.pack_into("<I", header, 0x1f4, (len(kernel) + 15) // 16)
    struct.pack_into("<H", header, 0x1fe, 0xAA55)
    header[0x200:0x202] = b"\xeb\x6a"
    struct.pack_into("<4sH", header, 0x202, b"HdrS", version)
    header[0x211] = loadflags
    struct.pack_into("<IIII", header, 0x214, 0x100000, 0, 0, 0)
    struct.pack_into("<I", header, 0x22c, 0x7fffffff)
    struct.pack_into("<IBB", header, 0x230, 0x200000, 1, 21)
    struct.pack_into("<H", header, 0x236, 3)
    struct.pack_into("<I", header, 0x238, 2047)
    struct.pack_into("<Q", header, 0x258, 0x1000000)
    struct.pack_into("<I", header, 0x260, 0x400000)
    return bytes(header) + kernel


def loaders():
    code = b"\xfa\xf4" * 20
    note = struct.pack("<3I", 4, 4, 18) + b"Xen\0" + struct.pack("<I", 0x100000)
    images = {
        "linux": linux(),
        "linux-low": linux(0x206, 0),
        "linux-old": linux(0x209, 1, 4),
        "multiboot-elf": elf32(0x400010, [(0x400000, multiboot1(0) + code, 0x3000)]),
        "multiboot-elf64": elf64(0x400010, [(0x400000, multiboot1(3) + code, 0x3000),
                                            (0x500000, b"data", 8)]),
        "multiboot-flat": multiboot1(0x10003, 0x200000, 0x200000, 0x200048, 0x203000, 0x200020) + code,
        "multiboot-video": multiboot1(7, 0, 0, 0, 0, 0, 0, 80, 25, 0) + code,
        "multiboot2-elf": elf32(0x100010, [(0x100000, bytes(4) + multiboot2((6, b"")) + code, 0x1000)]),
        "multiboot2-flat": multiboot2((2, struct.pack("<4I", 0x200000, 0x200000, 0, 0x201000)),
                                      (3, struct.pack("<I", 0x200040)),
                                      (1, struct.pack("<4I", 1, 3, 6, 14)), (6, b"")) + code,
        "multiboot2-place": multiboot2((10, struct.pack("<4I", 0x200000, 0x800000, 4096, 1)),
                                       (2, struct.pack("<4I", 0x200000, 0x200000, 0, 0x201000)),
                                       (3, struct.pack("<I", 0x200040))) + code,
        "pvh": elf32(0x100000, [(0x100000, code, 0x1000)], note),
        "pvh64": elf64(0x100000, [(0x100000, code, 0x1000)], note),
        "sector": bytes(510) + b"\x55\xaa",
        "elf-wrap": elf32(0xfffffff0, [(0xfffff000, multiboot1(0) + code, 0x2000)]),
        "empty": b"",
    }
    for name, image in images.items():
        for modules, flags in ((0, 0x11), (100, 0x72)):
            put("loaders", f"{name}-{modules}", bytes([flags]) + struct.pack("<H", modules) + image +
                bytes(range(modules)))


# ---- devices: operations ----

def devices():
    rng = random.Random(2)

    def port_write(group, offset, size, value):  # indices as in the target's tables
        return bytes([0, group, offset, size]) + value.to_bytes(1 << size, "little")

    def window_write(window, form, offset, value):
        return bytes([4, window, form]) + offset.to_bytes(2, "little") + value.to_bytes(1 << (form & 3), "little")

    def time(units, shift):
        return bytes([7]) + units.to_bytes(2, "little") + bytes([shift])

    pit = port_write(2, 3, 0, 0x34) + port_write(2, 0, 0, 0x10) + port_write(2, 0, 0, 0) + time(5000, 10)
    rtc = b"".join(port_write(5, 0, 0, r) + port_write(5, 1, 0, v) for r, v in
                   ((0x0b, 0x72), (0x0a, 0x23), (1, 0xff), (3, 0xff), (5, 0xff))) + time(6000, 20)
    uart = b"".join(port_write(13, r, 0, v) for r, v in ((3, 0x83), (0, 1), (1, 0), (3, 3), (2, 0xc7), (4, 0x1b),
                                                          (1, 15), (0, 65))) + bytes([10, 0]) + bytes(16) + time(9, 12)
    keyboard = b"".join(port_write(4, r, 0, v) for r, v in ((4, 0x60), (0, 0x47), (4, 0xd4), (0, 0xf4), (0, 0xff),
                                                             (4, 0xaa), (4, 0xd0), (4, 0xd1), (0, 3)))
    hpet = b"".join(window_write(1, 2, o, v) for o, v in ((0x10, 1), (0x100, 0x4c), (0x108, 1), (0x108, 100),
                                                           (0x120, 4), (0x128, 1000))) + time(1000, 8)
    ioapic = b"".join(window_write(0, 2, 0, r) + window_write(0, 2, 16, v) for r, v in
                      ((0x10, 0x30), (0x11, 0), (0x14, 0x8031), (0x12, 0x1a032))) + port_write(17, 2, 0, 1)
    apic = b"".join(window_write(2, 2, o, v) for o, v in ((0xf0, 0x1ff), (0x320, 0x20040), (0x3e0, 0xb), (0x380, 9),
                                                           (0x310, 1 << 24), (0x300, 0x4500), (0x300, 0x4610),
                                                           (0x300, 0xc4041))) + time(500, 4) + bytes([9, 0, 0])
    x2apic = b"".join(bytes([8, 0, i, 0]) + v.to_bytes(8, "little") for i, v in
                      ((0, 0xfee00d00), (0x8f, 0x1ff), (0xb0, 0x4041), (1, 10 ** 9))) + time(9, 27)
    pci = b"".join(port_write(20, 0, 2, 0x80000000 | a) + port_write(20, 4, 2, v) for a, v in
                   ((4, 7), (0x2010, 0xffffffff), (0x2010, 0xfebf0000), (0x2014, 0xc001), (0x2004, 3), (0x3140, 0xb001)))
    pm = port_write(16, 2, 1, 0x0521) + port_write(16, 4, 1, 0x2001) + port_write(16, 4, 1, 0x2400) + time(300, 25)
    fw_cfg = port_write(15, 0, 1, 0x19) + bytes([3, 15, 1, 0]) * 8 + port_write(15, 4, 2, 0) + port_write(15, 8, 2, 0x1000)
    parts = {"pit": pit, "rtc": rtc, "uart": uart, "keyboard": keyboard, "hpet": hpet, "ioapic": ioapic, "apic": apic,
             "x2apic": x2apic, "pci": pci, "pm": pm, "fw_cfg": fw_cfg}
    for name, part in parts.items():
        put("devices", name, part)
    put("devices", "all", b"".join(parts.values()) + bytes([11, 0]))
    for number in range(6):
        put("devices", f"random{number}", rng.randbytes(700))


# ---- guest: settings, then operations of the target ----

def guests():
    rng = random.Random(3)
    sweep_in = bytes.fromhex("31d2 ec ed 42 75fb f4".replace(" ", ""))
    sweep_out = bytes.fromhex("baf90c 88d0 ee ef 42 75fa f4".replace(" ", ""))
    programs = {"in": sweep_in, "out": sweep_out, "stack": bytes.fromhex("60 9c 9d 61 50 58 c8 10 00 02 c9".replace(" ", ""))}
    for name, code in list(CODE.items()):
        programs[name] = bytes.fromhex(code.replace(" ", ""))
    for name, code in programs.items():
        raw = b"".join(bytes([0x80 | (len(code[i:i + 8]) - 1)]) + code[i:i + 8] for i in range(0, len(code), 8))
        for mode in range(3):
            put("guest", f"{name}-{mode}", bytes([mode, mode & 1, mode * 3, 0]) + bytes(range(5, 17)) + raw)
    for number in range(12):
        head = bytes([number % 3, number >> 2 & 1, number, 7]) + rng.randbytes(12)
        templates = b"".join(bytes([rng.randrange(0x80)]) + rng.randbytes(4) for _ in range(40))
        put("guest", f"random{number:02}", head + templates)


# ---- vmx: engine, CPU, then operations (numbers as in the target's enum op) ----

def vmx():
    rng = random.Random(4)
    field, any_field, read, pointer, plain, invalidate, launch, resume = range(8)
    store, ept, code, region, valid, msr_area, event, time, repair, raw, go_on, changed = range(8, 20)

    def op(kind, *rest):
        return bytes([kind, *rest])

    def good(variant, controls=0, guest=0):
        return op(valid, variant) + struct.pack("<HH", controls, guest)

    def enter(variant, *parts, controls=0, guest=0):
        """A good VMCS and a guest of these instructions (indices as in the target), three times entered."""
        program = op(code, len(parts), *parts)
        return good(variant, controls, guest) + program + op(launch, 40) + op(resume, 40) + op(go_on, 20) + op(resume, 9)

    def some(kind, length, count):
        return b"".join(bytes([kind]) + rng.randbytes(length) for _ in range(count))

    programs = {"cpuid": (0,), "calls": (1, 2, 20, 21), "cr": (3, 4, 5, 6), "msr": (8, 7), "io": (9, 10, 11, 12),
                "memory": (27, 28, 13), "events": (29, 30, 32, 33), "idle": (14, 15, 16, 17), "vmread": (18, 19),
                "tables": (23, 24, 25, 42)}
    for number, (name, parts) in enumerate(programs.items()):
        put("vmx", name, bytes([number % 4, number & 1 | (number & 2) << 6]) + enter(number, *parts) + enter(number + 3, *parts))
    for number in range(8):
        parts = (1, 14, 8, 9, 29, 27)[number % 6:] + (0,)
        put("vmx", f"controls{number}", bytes([number % 4, 0]) + b"".join(
            enter(variant, *parts, controls=1 << number | 0xb00 | number << 4, guest=guest)
            for variant, guest in ((0, 0x60), (0, 5), (4, 0x30), (2, 0x4013), (0, 2), (5, 0x8026), (3, 0xf), (0, 0x1c0))))
    for variant in range(7):
        mixed = good(variant) + some(field, 12, 2) + op(launch, 60) + some(event, 2, 1) + op(resume, 60)
        put("vmx", f"fields{variant}", bytes([variant % 4, variant << 6 & 0x80]) + mixed * 4)
    spoiled = some(region, 8, 3) + some(pointer, 4, 4) + op(launch, 30)
    put("vmx", "regions", b"\0\0" + (good(0) + spoiled + good(0x31) + op(launch, 30) + op(resume, 30)) * 3)
    put("vmx", "pointers", b"\1\0" + good(1) + some(pointer, 4, 30) + some(plain, 1, 4))
    put("vmx", "reads", b"\2\1" + good(5) + some(read, 8, 12) + some(any_field, 10, 12))
    put("vmx", "invalidate", b"\2\0" + good(2) + some(invalidate, 8, 12) + op(launch, 100))
    for number in range(4):
        walks = b"".join(some(ept, 6, 3) + some(store, 8, 1) + op(launch, 90) + op(resume, 90) + good(number * 2)
                         for _ in range(5))
        put("vmx", f"ept{number}", bytes([number, 0]) + enter(number, 27, 28, 2) + walks)
    put("vmx", "msrs", b"\1\0" + good(0) + (some(msr_area, 8, 2) + some(field, 8, 3) + op(launch, 30)) * 5)
    put("vmx", "time", b"\0\0" + (enter(6, 14) + op(time, 0, 9) + op(event, 7, 64) + op(go_on, 30)) * 3)
    put("vmx", "root", b"\2\0" + (good(0) + some(raw, 8, 4) + op(repair) + op(launch, 50)) * 4)
    def flip(kind, index, bit):
        """An entry with a bit of a field flipped (kind of field and index as in the target), then a good one."""
        keep_offered = (1,) if kind == 4 and index in (1, 2, 3) else ()
        return op(changed, kind + 6 * index, 1, bit, *keep_offered, 3) + op(resume, 1)

    for number in range(4):
        put("vmx", f"changed{number}", bytes([number, (number & 1) << 7]) + b"".join(
            good((0, 1, 4, 2)[number], 0x40, guest) + op(launch, 1) +
            b"".join(op(changed, part + 6 * seg) + rng.randbytes(3) + op(resume, 3) for seg in range(8) for part in range(4) if rng.randrange(4) == 0)
            for guest in (0, 3, 2, 1)))
        put("vmx", f"flipped{number}", bytes([number, (number & 1) << 7]) + b"".join(
            good(number % 2, 0, guest) + op(launch, 1) + b"".join(
                flip(part, seg, bit) for part, seg, bit in ((0, 7, 2), (3, 7, 62), (2, 6, 7), (2, 6, 16), (2, 7, 4), (2, 2, 5), (4, 0, 17), (4, 1, 9), (4, 3, 7)))
            for guest in (0, 3)))
    bad_ss = op(any_field, 0, 6) + struct.pack("<I", 0x4818) + op(5, 0x13)
    load_first = op(pointer, 5, 2, 1, 1)
    put("vmx", "stale", b"\0\0" + (good(0) + bad_ss + good(0x40) + op(launch, 5) + load_first + op(launch, 5)) * 2)
    access, pml_log = 16, 17  # numbers of places
    for number, place in enumerate((access, access, access, 15)):
        program = op(code, 7) + b"".join(op(0xc0, place, offset) + op(part) for offset, part in
                                        ((9, 28), (0x30, 27), (8, 28 - number % 2))) + op(0)
        put("vmx", f"apic{number}", bytes([number, 0]) + (good(4, number, number & 1) + program + op(launch, 40) + op(resume, 40) + op(resume, 9)) * 2)
    for number in range(2):
        program = op(code, 7) + b"".join(op(0xc0, place, 0) + op(27) for place in (15, pml_log + 1, 20)) + op(0)
        put("vmx", f"pml{number}", bytes([number * 2, 0]) + b"".join(
            good(2 + 7 * left, number) + program + op(launch, 40) + op(resume, 40) + op(resume, 9) for left in (0, 3, 6)))
    for number in range(3):
        put("vmx", f"task{number}", bytes([number, 0x80]) + enter(0, 48 + number, 0) + enter(1, 48 + number, 0) + enter(1, 48 + number, guest=3))
    for number in range(2):
        body = b"".join(good(number, rng.randrange(1 << 16), rng.randrange(256)) + op(rng.randrange(19)) + rng.randbytes(24) + op(launch, 200)
                        for _ in range(8))
        put("vmx", f"random{number}", bytes([number % 4, number & 1]) + body)


# ---- svm: settings, operations ----

def svm():
    rng = random.Random(5)
    field, spoil, vmrun, anywhere, vmload, vmsave, gif, invlpga, msr, valid, raw, repair = range(12)
    store, npt, maps, code, event, time, go_on = range(12, 19)
    nested, intercepts, exceptions, virtual = 8, 1, 2, 0x10
    legacy, pae, paged_real = 0x400, 0x800, 0xc00

    def good(bits):
        return bytes([valid, 0]) + struct.pack("<H", bits)

    def enter(bits, *parts):
        """A good VMCB and a guest of these instructions (indices as in the target), three times entered."""
        program = bytes([code, len(parts), *parts])
        return good(bits) + program + bytes([vmrun, 0, 40, vmrun, 0, 40, go_on, 20, vmrun, 0, 9])

    def some(kind, length, count):
        return b"".join(bytes([kind]) + rng.randbytes(length) for _ in range(count))

    programs = {"cpuid": (0,), "calls": (1, 2, 3, 4), "gif": (5, 6, 7, 8), "cr": (9, 10, 11, 12, 45), "msr": (13, 14),
                "io": (15, 16, 17, 18), "memory": (28, 29, 19), "events": (30, 31, 32, 33, 34, 35),
                "idle": (20, 21, 22, 47, 48), "tables": (24, 25, 26, 44), "debug": (39, 40, 42, 43)}
    for number, (name, parts) in enumerate(programs.items()):
        guests = b"".join(enter(bits, *parts) for bits in (nested, nested | intercepts, exceptions, nested | virtual))
        put("svm", name, bytes([number % 4, number % 3 << 2]) + guests)
    for number in range(12):
        parts = (2, 20, 14, 15, 30, 28)[number % 6:] + (0,)
        bits = (nested, nested | legacy, nested | pae, nested | paged_real)[number % 4]
        put("svm", f"modes{number}", bytes([number % 4, number // 4 << 2]) + b"".join(
            enter(bits | more, *parts) for more in (0, intercepts, exceptions | 0x80, 0x1000, 0x200, virtual | 0x100)))
    for number in range(6):
        mixed = good(nested) + some(field, 14, 2) + bytes([vmrun, 0, 60]) + some(event, 2, 1) + bytes([vmrun, 0, 60])
        put("svm", f"fields{number}", bytes([number % 4, number % 3 << 2]) + mixed * 4)
    spoiled = some(spoil, 4, 2) + bytes([vmrun, 0, 30, vmrun, 1, 30])
    put("svm", "spoiled", b"\0\0" + (good(0) + spoiled + good(nested)) * 4)
    put("svm", "anywhere", b"\1\0" + good(1) + some(anywhere, 12, 20) + some(vmload, 8, 6) + some(vmsave, 8, 6))
    put("svm", "registers", b"\2\0" + good(nested) + some(msr, 10, 12) + some(gif, 1, 3) + some(invlpga, 9, 4) +
        bytes([vmrun, 0, 100]))
    for number in range(6):
        walks = b"".join(some(npt, 6, 3) + some(store, 8, 1) + bytes([vmrun, 0, 90, go_on, 90]) + good(nested)
                         for _ in range(5))
        put("svm", f"npt{number}", bytes([number % 4, number % 3 << 2]) + enter(nested, 28, 29, 2) + walks)
    put("svm", "time", b"\3\0" + enter(nested | 0x110, 20, 33) + some(event, 2, 4) + some(time, 2, 2) +
        some(maps, 3, 6) + some(raw, 8, 4) + bytes([repair, vmrun, 0, 50]))
    for number in range(4):
        kind = nested | (0, legacy, pae, paged_real)[number]
        walks = b"".join(some(npt, 6, 3) + some(store, 8, 1) + bytes([vmrun, 0, 90, go_on, 90]) + good(kind)
                         for _ in range(5))
        put("svm", f"levels5_{number}", bytes([number, 3 << 2]) + enter(kind, 28, 29, 2) + walks)


# ---- options: words ended by newlines ----

OPTIONS = [
    "-kernel x -m 512 -smp 4 -nographic --state-hash=every:1000 --seed 3",
    "--no-reboot -nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -display none "
    "-serial stdio -device pci-testdev -machine accel=tcg -kernel x -initrd y -append a",
    "run -kernel x -cpu max,+vmx,-pku,phys-bits=40 -M pc,pit=off,hpet=off -rtc base=2026-01-31T12:00:00",
    "-kernel x -serial file:out -serial mon:stdio -serial pty -serial null -echr 3 -debugcon stdio",
    "-chardev stdio,id=a,mux=on -serial chardev:a -mon chardev=a -kernel x -accel kvm:tcg -enable-kvm",
    "-m 2G -m 1.5G -smp cpus=2,cores=2 -icount shift=auto,sleep=on -max-insns 0x1000 -action reboot=shutdown",
    "-device help", "-cpu help", "-machine ?", "--help", "--version", "options", "replay", "-drive file=x -hda y",
    "-kernel", "-daemonize", "-global kvm-pit.lost_tick_policy=discard -kernel x", "-linux-entry 64 -kernel x",
    "-display sdl", "-monitor none -vga none -net none -parallel none -kernel x -L . -name n -no-shutdown",
    "-rtc base=utc,clock=vm -kernel x -sched-seed 5 -mmu=walk -engine=interp -sync=strict -qemu-compat",
]


def options():
    for number, line in enumerate(OPTIONS):
        put("options", f"line{number:02}", line.replace(" ", "\n").encode() + b"\n")


CPUS = ["max", "intel-v1", "intel-v2", "intel-v3", "amd-v2", "amd-v3", "i686", "host", "qemu64", "base",
        "max,+vmx,-pku", "qemu64,+x2apic,+tsc-deadline,-xsave", "max,vendor=GenuineIntel,phys-bits=40",
        "max,la57=off,avx2=on", "max,host-phys-bits", "nothing", "", ",", "max,", "max,+", "max,vendor=",
        "max,phys-bits=99999999999999999999", "help", "max,-lm,+unknown,vendor=AuthenticAMD"]


def cpu_config():
    for number, text in enumerate(CPUS):
        put("cpu_config", f"text{number:02}", text.encode())


if __name__ == "__main__":
    decoder()
    walker()
    loaders()
    devices()
    guests()
    vmx()
    svm()
    options()
    cpu_config()
