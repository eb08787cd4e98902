#!/bin/sh
# Make sure that Debian packages are installed: tests/packages.sh NAME...
# As root: installs what is missing. Otherwise: prints the one line to run, and status 1.
set -eu
missing=
for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing. Run, then start again:"
    echo "    sudo apt-get install -y$missing"
    exit 1
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
apt-get install -y -qq $missing >/dev/null 2>&1 || {
    apt-get update -qq || true
    apt-get install -y -qq $missing >/dev/null
}
