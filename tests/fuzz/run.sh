#!/bin/sh
# Fuzzes targets one after another. What is new goes to build-fuzz/corpus/NAME, a crash to build-fuzz/crash-NAME-*;
# once it is mended, its input belongs into tests/fuzz/corpus/NAME.
# usage: tests/fuzz/run.sh SECONDS NAME...
set -u
seconds=$1
shift
rc=0
for name; do
	new=build-fuzz/corpus/$name
	seed=tests/fuzz/corpus/$name
	mkdir -p "$new"
	[ -d "$seed" ] || seed=
	set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build-fuzz/crash-$name-"
	[ ! -f "tests/fuzz/$name.dict" ] || set -- "$@" -dict="tests/fuzz/$name.dict"
	# shellcheck disable=SC2086  # no seed, no argument
	if "build-fuzz/fuzz/$name" "$@" "$new" $seed >"build-fuzz/$name.log" 2>&1; then
		echo "fuzz: $name: clean, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "build-fuzz/$name.log") runs in $seconds s"
	else
		tail -n 40 "build-fuzz/$name.log" >&2
		echo "fuzz: $name: FAILED"
		rc=1
	fi
done
exit $rc
