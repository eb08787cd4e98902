#!/bin/sh
# C sources are formatted by clang-format 14 with the project's .clang-format; no trailing blanks.
cd "$(dirname "$0")/../.." || exit 1
git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format --dry-run --Werror || exit 1
! git ls-files -co --exclude-standard | xargs grep -nIE '[[:blank:]]+$'
