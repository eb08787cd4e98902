#!/bin/sh
# Each header compiles alone.
cd "$(dirname "$0")/../.." || exit 1
status=0
for header in $(git ls-files -co --exclude-standard '*.h' | grep -v '^tests/'); do
    gcc -std=gnu17 -fsyntax-only -I. -include "$header" -x c /dev/null || status=1
done
exit $status
