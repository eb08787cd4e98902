#!/bin/sh
# Fetch Xen: tests/guest/xen.sh DIRECTORY
#
# Downloads Debian 12's hypervisor, its tools and the libraries they need for amd64 (nothing is
# installed) and leaves DIRECTORY/xen/hypervisor, a multiboot image, and DIRECTORY/xen/root, where the
# packages are unpacked. Quick when the files are already there.
set -eu

directory=${1:?usage: xen.sh DIRECTORY}
to=$directory/xen
[ -s "$to/hypervisor" ] && exit 0

for tool in apt-get apt-cache dpkg-deb gzip; do
    command -v $tool >/dev/null || { echo "xen.sh: needs $tool" >&2; exit 1; }
done
newest() { # version of the newest hypervisor, as in the names of packages: 4.17
    apt-cache search --names-only '^xen-hypervisor-4\.[0-9]+-amd64$' | cut -d' ' -f1 |
        sed 's/^xen-hypervisor-//; s/-amd64$//' | sort -t. -k2n | tail -n 1
}
version=$(newest)
[ -n "$version" ] || { apt-get update -qq || true; version=$(newest); }
[ -n "$version" ] || { echo "xen.sh: no package of Xen found" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
packages="xen-hypervisor-$version-amd64"
for name in "xen-utils-$version" "libxenmisc$version" libxencall1 libxendevicemodel1 libxenevtchn1 \
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1 \
    libyajl2 libuuid1 liblzma5 libzstd1 zlib1g libgcc-s1 libc6 qemu-system-xen qemu-system-data \
    seabios libpixman-1-0 libspice-server1 libjpeg62-turbo libusb-1.0-0 libfdt1 libglib2.0-0 \
    libssl3 libopus0 libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 liborc-0.4-0 liblz4-1 \
    libsasl2-2 libstdc++6 libudev1 libpcre2-8-0 libunwind8 libdw1 libffi8 libelf1 libbz2-1.0; do
    packages="$packages $name"
done
# shellcheck disable=SC2086
(cd "$work" && apt-get download -qq $packages 2>/dev/null) || {
    echo "xen.sh: cannot download $packages" >&2
    exit 1
}
rm -rf "$to"
mkdir -p "$to/root"
for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$to/root"
done
gzip -dc "$to/root/boot/xen-$version-amd64.gz" >"$to/hypervisor.part"
mv "$to/hypervisor.part" "$to/hypervisor"
