#!/bin/sh
# At least three manual references per thousand lines in cpu/ and mmu/ (tables of rows included).
cd "$(dirname "$0")/../.." || exit 1
for folder in cpu mmu; do
    lines=$(cat $(git ls-files -co --exclude-standard "$folder/*.[ch]") | wc -l)
    references=$(grep -hoE 'SDM Vol|APM Vol' $(git ls-files -co --exclude-standard "$folder/*.[ch]") | wc -l)
    echo "$folder: $references references in $lines lines"
    [ $((references * 1000)) -ge $((lines * 3)) ] || exit 1
done
