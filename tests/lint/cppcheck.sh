#!/bin/sh
# cppcheck 2.10 on all sources. Findings that are wrong or meant are listed here with the reason.
cd "$(dirname "$0")/../.." || exit 1
mkdir -p build/cppcheck
grep -v '^#' >build/cppcheck.suppress <<'END'
# gcc and clang shift signed numbers arithmetically; handlers for SAR, CQO and PSRAQ rely on it.
shiftTooManyBitsSigned
# "x | TYPE_UC" with a constant of value 0 says what is meant.
badBitmaskCheck
# Compound literals are complete before they are stored; it takes them for member-wise copies.
overlappingWriteUnion
# It reads a heap's (index - 1) / 2 and a level's n >= 3 as if the bounds were not tested.
arrayIndexOutOfBoundsCond:devices/clock.c
arrayIndexOutOfBoundsCond:mmu/format.c
# Macros that make handlers: a general shape, of which one row does not use a part.
duplicateExpressionTernary:cpu/isa/lane_int.h
redundantInitialization:cpu/isa/*
variableScope:cpu/isa/*
# It believes that exec handlers, which are called through rows only, get NULL.
ctunullpointer:cpu/isa/*
# It takes one value of a sum or a function for the only one.
knownConditionTrueFalse:firmware/multiboot.c
knownConditionTrueFalse:cpu/run.c
# The array is read by the function that gets its address in a struct.
unreadVariable:machine/board.c
END
sources=
for folder in base mmu cpu devices firmware machine replay host debug; do
    ls "$folder"/*.c >/dev/null 2>&1 && sources="$sources $folder"
done
# shellcheck disable=SC2086
cppcheck --quiet -j 2 --cppcheck-build-dir=build/cppcheck --std=c11 --inline-suppr -I . \
    --enable=warning,style,performance,portability --error-exitcode=1 \
    --suppressions-list=build/cppcheck.suppress $sources main.c
