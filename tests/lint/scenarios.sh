#!/bin/sh
# The scenarios and defects of docs/shadow-mmu.md: each number has one row; the tests that it names
# exist in that file; and a test whose comment names a number is in its row.
cd "$(dirname "$0")/../.." || exit 1
awk '
function wrong(text) { print text; bad = 1 }
function complete(prefix, format, last,    i, number) {
    for (i = 1; i <= last; i++) {
        number = prefix sprintf(format, i)
        if (rows[number] != 1)
            wrong(number ": " rows[number] + 0 " rows in docs/shadow-mmu.md")
    }
}
FILENAME ~ /\.md$/ {
    if ($1 == "|" && $2 ~ /^(T[0-9][0-9]|BUG-[0-9]+)$/) {
        rows[$2]++
        row[$2] = $0
    }
    next
}
FNR == 1 { file = FILENAME; gsub(/.*\/|\.c$/, "", file) }
/^$/ { comment = "" }
/^\/\*/ || comment ~ /^\/\*/ { comment = comment " " $0; sub(/^ /, "", comment) }
/^START_TEST\(/ {
    name = $0
    gsub(/^START_TEST\(|\).*/, "", name)
    home[name] = file
    sub(/\*\/.*/, "", comment)
    count = split(comment, word, /[^A-Z0-9-]+/)
    for (i = 1; i <= count; i++) {
        if (word[i] ~ /^(T[0-9][0-9]|BUG-[0-9]+)$/ && index(row[word[i]], "`" name "`") == 0)
            wrong(file ": " name " is not in the row of " word[i])
    }
    comment = ""
}
END {
    complete("T", "%02d", 65)
    complete("BUG-", "%d", 31)
    for (number in row) {
        count = split(row[number], part, /[|;] */)
        for (i = 1; i <= count; i++) {
            if (part[i] !~ /^test_[a-z0-9_]+: /)
                continue
            file = part[i]
            sub(/:.*/, "", file)
            names = split(part[i], quoted, "`")
            for (j = 2; j <= names; j += 2) {
                if (home[quoted[j]] != file)
                    wrong(number ": " quoted[j] " is not in " file ".c")
            }
        }
    }
    exit bad
}' docs/shadow-mmu.md tests/mmu/test_*.c tests/cpu/test_*.c
