#!/bin/sh
# Who may include whom (ARCHITECTURE.md): a folder includes only the folders listed beside it.
cd "$(dirname "$0")/../.." || exit 1
bad=0
allow() { # allow FOLDER REGEX-OF-ALLOWED
    found=$(grep -rnE '#include "' "$1" --include='*.[ch]' | grep -vE "#include \"($2)/")
    [ -z "$found" ] || { echo "$found"; bad=1; }
}
allow base 'base'
allow mmu 'base|mmu'
allow cpu 'base|mmu|cpu'
allow devices 'base|devices'
allow firmware 'base|mmu|firmware'
allow replay 'base|replay'
allow host 'base|host|replay'
allow machine 'base|mmu|cpu|devices|firmware|host|replay|machine'
[ "$bad" -eq 0 ] || echo "layers: the includes above break the layering rule"
exit $bad
