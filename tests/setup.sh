#!/usr/bin/env bash
# What some tests need beyond Python, from Debian's packages: a browser. Tests skip, with the reason, without it.
set -u
log=$(mktemp)

missing=()
command -v chromium >/dev/null 2>&1 || missing+=(chromium)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
	echo "note: ${missing[*]} not found, and not installed: that takes apt-get and root. Some tests will skip." >&2
	exit 0
fi
echo "Installing ${missing[*]}."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	echo "note: ${missing[*]} could not be installed; some tests will skip. The last lines of the log:" >&2
	tail -n 5 "$log" >&2
fi
exit 0
