#!/bin/sh
# Runs cmocka programs, two at a time, and closes with one line of counts. A program that dies counts as a failure.
# usage: tests/unit/run.sh PROGRAM...
set -u
one='
	timeout 300 "$0" >"$0.log" 2>&1
	rc=$?
	passed=$(sed -n "s/^\[  PASSED  \] \([0-9]*\) test.*/\1/p" "$0.log" | tail -n 1)
	failed=$(sed -n "s/^\[  FAILED  \] \([0-9]*\) test.*/\1/p" "$0.log" | tail -n 1)
	if [ $rc -ne 0 ]; then
		[ "${failed:-0}" -gt 0 ] || failed=1
		{ echo "--- $0 (exit $rc)"; grep -v "^\[ *\(RUN\|OK\)" "$0.log" | tail -n 60; } >&2
	fi
	echo "$((${passed:-0})) $((${failed:-0}))"'
printf '%s\n' "$@" | xargs -r -P 2 -n 1 sh -c "$one" |
	awk '{ p += $1; f += $2 } END { printf "unit: %d passed, %d failed (%d programs)\n", p, f, NR; exit f > 0 || NR == 0 }'
