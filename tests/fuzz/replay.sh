#!/bin/sh
# Replays each target's kept inputs (tests/fuzz/corpus/NAME) and an empty one. usage: tests/fuzz/replay.sh FOLDER
set -u
bin=$1
passed=0 failed=0
log=$(mktemp)
empty=$(mktemp)
trap 'rm -f "$log" "$empty"' EXIT
for src in tests/fuzz/fuzz_*.c; do
	[ -e "$src" ] || continue
	name=$(basename "$src" .c)
	name=${name#fuzz_}
	set -- "$empty"
	[ ! -d "tests/fuzz/corpus/$name" ] || set -- "$@" "tests/fuzz/corpus/$name"
	if timeout 300 "$bin/$name" "$@" >"$log" 2>&1; then
		passed=$((passed + $(sed -n 's/^\([0-9]*\) inputs$/\1/p' "$log")))
	else
		failed=$((failed + 1))
		{ echo "--- fuzz target $name"; tail -n 60 "$log"; } >&2
	fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
