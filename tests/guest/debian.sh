#!/bin/sh
# Make the Debian guests: tests/guest/debian.sh FLAVOUR DIRECTORY [MODULE]
#
# FLAVOUR is cloud-amd64, amd64, 686 or 686-pae. Downloads the newest kernel of Debian 12's 6.1 line
# and the static BusyBox of its architecture (nothing is installed), and leaves DIRECTORY/FLAVOUR/
# vmlinuz, initrd, busybox and modules/ (KVM's, and those of a Xen dom0). The initrd's /init mounts
# proc, sys and dev, prints "nestbox: /init reached", then runs what the kernel command line says:
# `run=COMMAND` (commas stand for blanks) or a shell on the console; `poweroff -f` at the end. Quick
# when the files are already there, MODULE.ko (default: kvm) among them.
set -eu

flavour=${1:?usage: debian.sh FLAVOUR DIRECTORY}
directory=${2:?usage: debian.sh FLAVOUR DIRECTORY}
case $flavour in
cloud-amd64 | amd64) arch=amd64 ;;
686 | 686-pae) arch=i386 ;;
*) echo "debian.sh: unknown flavour '$flavour' (cloud-amd64, amd64, 686, 686-pae)" >&2; exit 1 ;;
esac
to=$directory/$flavour
[ -s "$to/vmlinuz" ] && [ -s "$to/initrd" ] && [ -s "$to/modules/${3:-kvm}.ko" ] && exit 0

for tool in apt-get apt-cache dpkg-deb cpio gzip; do
    command -v $tool >/dev/null || { echo "debian.sh: needs $tool (apt-get install cpio)" >&2; exit 1; }
done
if [ "$arch" = i386 ] && ! dpkg --print-foreign-architectures | grep -qx i386; then
    dpkg --add-architecture i386
    apt-get update -qq || true # other sources may have no i386 index
fi
newest() { # highest ABI number of linux-image-6.1.0-N-FLAVOUR for this architecture
    apt-cache search --names-only "^linux-image-6\\.1\\.0-[0-9]+-$flavour\$" | cut -d' ' -f1 |
        sort -t- -k4n | tail -n 1
}
package=$(newest)
[ -n "$package" ] || { apt-get update -qq || true; package=$(newest); }
[ -n "$package" ] || { echo "debian.sh: no kernel package for $flavour found" >&2; exit 1; }

mkdir -p "$to"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -qq "$package:$arch" "busybox-static:$arch" 2>/dev/null) || {
    echo "debian.sh: cannot download $package:$arch and busybox-static:$arch" >&2
    exit 1
}
dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
dpkg-deb -x "$work"/busybox-static_*.deb "$work/busybox"

mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp"
cp "$work/busybox/bin/busybox" "$work/root/bin/busybox"
for applet in sh mount poweroff reboot sleep echo cat uname ls dmesg head tail grep sed tr wc free nproc date md5sum seq; do
    ln -s busybox "$work/root/bin/$applet"
done
cat >"$work/root/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
echo "nestbox: /init reached on $(uname -srm) with $(nproc) CPUs"
run=
for word in $(cat /proc/cmdline); do
    case $word in run=*) run=${word#run=} ;; esac
done
if [ -n "$run" ]; then
    sh -c "$(echo "$run" | tr , ' ')"
else
    setsid cttyhack sh 2>/dev/null || sh </dev/console >/dev/console 2>&1
fi
sleep 1
poweroff -f
INIT
chmod +x "$work/root/init"
for applet in setsid cttyhack; do ln -s busybox "$work/root/bin/$applet"; done
# Fixed times and owner: the same archive each time.
find "$work/root" -exec touch -h -d @0 {} +
(cd "$work/root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) |
    gzip -n >"$to/initrd.part"
# KVM and what it depends on (ccp: only kvm-amd of the amd64 flavours); Xen's tools' devices.
mkdir -p "$to/modules"
for module in irqbypass ccp kvm kvm-intel kvm-amd xen-privcmd xen-evtchn xen-gntdev xenfs; do
    find "$work/kernel/lib/modules" -name "$module.ko" -exec cp {} "$to/modules/" \;
done
cp "$work/busybox/bin/busybox" "$to/busybox"
cp "$work"/kernel/boot/vmlinuz-* "$to/vmlinuz"
mv "$to/initrd.part" "$to/initrd"
