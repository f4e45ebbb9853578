#!/bin/sh
# Installs those of the named Debian packages that are missing; silent, and without network, when all are there.
# usage: tests/deps.sh PACKAGE...
set -eu
if ! command -v dpkg-query >/dev/null; then
	echo "deps: this is not a Debian system; what is needed, by its Debian names: $*" >&2
	exit 0
fi
have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u)
missing=$(for p in "$@"; do printf '%s\n' "$have" | grep -qxF "$p" || echo "$p"; done)
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" -eq 0 ] || sudo="sudo "
install="${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
echo "deps: installing" $missing
echo "+ $install" $missing
# shellcheck disable=SC2086  # a list of names
if ! $install $missing </dev/null >/dev/null 2>&1; then
	echo "+ ${sudo}apt-get update"
	${sudo}apt-get update -q </dev/null
	$install $missing </dev/null
fi
