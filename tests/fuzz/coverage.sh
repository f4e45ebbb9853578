#!/bin/sh
# Of each target's own files, what the kept inputs (and those found since, in build-fuzz/corpus) run. usage: tests/fuzz/coverage.sh NAME...
set -eu
files() {
	case $1 in
	address) ls lists/address*.c ;;
	answers) ls engine/dns/sts.c engine/access.c ;;
	backup) ls src/serve/restore.c src/base/tar.c ;;
	bounce) ls engine/bounce/*.c | grep -v 'provider\|mailbox\|intake\|feedback_' ;;
	config) ls src/config/*.c ;;
	csv) ls lists/csv*.c lists/charset.c lists/input.c ;;
	dkim) ls engine/dkim/canon.c engine/dkim/record.c engine/dkim/sign.c ;;
	dns) ls engine/dns/lookup*.c engine/dns/record.c ;;
	html) ls templates/html_*.c ;;
	lint) ls templates/lint*.c ;;
	liquid) ls templates/liquid*.c ;;
	mailbox) ls engine/bounce/mailbox.c ;;
	message) ls templates/message*.c templates/mime*.c templates/markdown*.c ;;
	provider) ls engine/bounce/provider*.c ;;
	rules) ls engine/rulefile.c engine/outcome.c ;;
	segment) ls lists/segment*.c ;;
	smtp_client) ls engine/smtp/c*.c engine/smtp/[deho]*.c engine/smtp/login.c engine/smtp/transaction.c | grep -v conn ;;
	smtp_reply) ls engine/smtp/reply.c ;;
	smtp_server) ls engine/smtp/server*.c ;;
	token) ls engine/token.c ;;
	*) echo "coverage.sh: which files does $1 read?" >&2 && exit 1 ;;
	esac
}
out=build-fuzz-cov/profiles
mkdir -p $out
printf '%-14s %8s %12s\n' target lines 'lines run'
for name; do
	set --
	for folder in tests/fuzz/corpus/$name build-fuzz/corpus/$name; do
		[ ! -d "$folder" ] || set -- "$@" "$folder"
	done
	[ $# -gt 0 ] || continue
	LLVM_PROFILE_FILE=$out/$name.raw timeout 300 "build-fuzz-cov/fuzz/$name" "$@" >/dev/null
	llvm-profdata-14 merge -sparse $out/$name.raw -o $out/$name.data
	rm $out/$name.raw
	# shellcheck disable=SC2046  # names without blanks
	llvm-cov-14 report "build-fuzz-cov/fuzz/$name" -instr-profile=$out/$name.data $(files "$name") |
		awk -v name="$name" '$1 == "TOTAL" { printf "%-14s %8d %12s\n", name, $8, $10 }'
done
