#!/bin/sh
# Only host/ and replay/ may ask the operating system for anything that differs between runs: no time,
# randomness, threads, environment or locale in the libraries below them. Needs build/release.
cd "$(dirname "$0")/../.." || exit 1
status=0
for library in base mmu cpu devices firmware; do
    file=build/release/libnb_$library.a
    [ -e "$file" ] || { echo "symbols: $file is not built yet; checked on the next run"; continue; }
    found=$(nm -u "$file" 2>/dev/null | awk '{print $2}' | sort -u |
        grep -xE 'time|clock|gettimeofday|clock_gettime|rand|random|getrandom|pthread_.*|getenv|setlocale|read|fread|socket|longjmp|__longjmp_chk|_setjmp|fegetround|fesetround|feraiseexcept|sin|cos|tan|exp|log|pow')
    [ -z "$found" ] || { echo "$file uses:" $found; status=1; }
done
exit $status
