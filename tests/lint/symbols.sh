#!/bin/sh
# The libraries below host/ and replay/ call only what is listed here from the C library: memory,
# strings, their own log. No time, files, randomness, threads, environment, locale, floating-point
# environment or libm, which may differ between runs or hosts. Checks build/release, or $1.
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/release}
common='abort|calloc|free|malloc|aligned_alloc|qsort|bcmp|mem(chr|cmp|cpy|move|set)|str(chr|cmp|cspn|len|ncmp|toul)|v?snprintf'
compiler='_GLOBAL_OFFSET_TABLE_|__(u?divti3|udivmodti4|umodti3|modti3|popcountdi2|stack_chk_fail)|__(mem|str)[a-z]*_chk|__v?snprintf_chk'
base='fopen|fputc|fputs|fwrite|v?fprintf|__v?fprintf_chk|stderr' # the log
mmu='mmap|munmap|mprotect|madvise' # guest RAM
cpu='mmap|munmap|mprotect|__cpu_model' # the code cache; has the host FMA, which gives the same results
status=0
defined=$(nm --defined-only "$build"/libnb_*.a 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u)
for library in base mmu cpu devices firmware; do
    file=$build/libnb_$library.a
    if [ ! -e "$file" ]; then
        echo "$file is not built"
        status=1
        continue
    fi
    case $library in
    base) own=$base ;;
    mmu) own=$mmu ;;
    cpu) own=$cpu ;;
    *) own=abort ;;
    esac
    found=$(nm -u "$file" | awk 'NF == 2 { print $2 }' | sort -u |
        grep -vxF "$defined" | grep -vxE "$common|$compiler|$own")
    [ -z "$found" ] || { echo "$file uses:" $found; status=1; }
done
exit $status
