#!/bin/sh
# Functions of at most 80 lines, files of at most 900. Macros in capitals are tables and are exempt.
cd "$(dirname "$0")/../.." || exit 1
sources=$(git ls-files -co --exclude-standard '*.c' '*.h' | grep -v '^tests/')
long=$(echo "$sources" | ctags -L - --c-kinds=f --fields=+ne -f - 2>/dev/null |
    awk -F'\t' '{s=0;e=0;for(i=4;i<=NF;i++){if($i~/^line:/)s=substr($i,6);if($i~/^end:/)e=substr($i,5)} n=e-s+1; if(n>80 && $1 !~ /^[A-Z0-9_]+$/)print n,$2,$1}')
big=$(echo "$sources" | xargs wc -l | awk '$2!="total" && $1>900')
[ -z "$long" ] || { echo "functions over 80 lines:"; echo "$long"; }
[ -z "$big" ] || { echo "files over 900 lines:"; echo "$big"; }
[ -z "$long$big" ]
