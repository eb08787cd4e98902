#!/bin/sh
# Build the bench guest into DIRECTORY: bench.elf (multiboot) and bench.img (bootable disk).
# The disk's second sector holds the command line: see run.py.
set -eu
here=$(dirname "$0")
to=${1:?usage: build.sh DIRECTORY}
mkdir -p "$to"
flags="-m64 -ffreestanding -fno-pic -mno-red-zone -mcmodel=kernel -fno-stack-protector -nostdlib -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -Wa,--noexecstack"
for name in bench l2; do
    gcc $flags -O2 -fno-tree-vectorize -mgeneral-regs-only -Wall -Wextra -c "$here/$name.c" -o "$to/$name.o"
done
for name in start l2_start; do
    gcc $flags -c "$here/$name.S" -o "$to/$name.o"
done
# 64-bit objects in a 32-bit ELF container, as multiboot loaders want it.
objcopy -O elf32-i386 "$to/bench.o" "$to/bench32.o" 2>/dev/null || true
ld -m elf_x86_64 --no-warn-rwx-segments -T "$here/bench.ld" --oformat elf64-x86-64 -z max-page-size=4096 "$to/start.o" "$to/bench.o" "$to/l2.o" "$to/l2_start.o" -o "$to/bench64.elf"
objcopy -O elf32-i386 "$to/bench64.elf" "$to/bench.elf"
objcopy -O binary "$to/bench64.elf" "$to/bench.bin"
entry=$(nm "$to/bench64.elf" | awk '$3 == "start" { print "0x" $1 }')
sectors=$((($(stat -c %s "$to/bench.bin") + 511) / 512))
gcc -m32 -nostdlib -ffreestanding -DSECTORS=$sectors -DENTRY=$entry -Wl,-Ttext=0x7c00,--oformat=binary,-e,boot -no-pie -fno-pic "$here/boot.S" -o "$to/boot.bin"
{ cat "$to/boot.bin"; head -c 512 /dev/zero; cat "$to/bench.bin"; } >"$to/bench.img"
truncate -s 10321920 "$to/bench.img" # 20 cylinders of 16 heads and 63 sectors
