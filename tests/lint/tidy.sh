#!/bin/sh
# clang-tidy 14 with the project's .clang-tidy on every source outside of tests/, or on those named.
# Needs a compile_commands.json of build/clang or build/release.
cd "$(dirname "$0")/../.." || exit 1
for build in build/clang build/release; do
    [ ! -e "$build/compile_commands.json" ] || break
done
if [ ! -e "$build/compile_commands.json" ]; then
    cmake --preset release >/dev/null || exit 1
fi
if [ $# -eq 0 ]; then
    set -- main.c
    for folder in base mmu cpu devices firmware machine replay host debug; do
        [ ! -d "$folder" ] || set -- "$@" $(find "$folder" -name '*.c')
    done
fi
# The long ones first, so that both processors end together.
ls -S "$@" | xargs -P 2 -n 1 sh -c '
    output=$(clang-tidy --quiet -p "$0" "$1" 2>&1) || { echo "$output"; exit 1; }' "$build"
