#!/usr/bin/env bash
# What some tests need beyond Python, from Debian's packages: a browser, and a PostgreSQL server that the tests
# start by themselves. Safe to repeat. It never fails: without them those tests skip, with the reason.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT

missing=()
command -v chromium >/dev/null 2>&1 || missing+=(chromium)
command -v initdb >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
	echo "note: ${missing[*]} not found, and not installed: that takes apt-get and root. Some tests will skip." >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update >"$log" 2>&1 || echo "note: apt-get update failed: $(tail -n 1 "$log")" >&2
for package in "${missing[@]}"; do # one by one: where one cannot be had, the other still can
	echo "Installing $package."
	if ! apt-get install --yes --no-install-recommends "$package" >"$log" 2>&1; then
		echo "note: $package could not be installed; some tests will skip. The last lines of the log:" >&2
		tail -n 5 "$log" >&2
	fi
done
exit 0
