#!/usr/bin/env bash
# check.sh looks for misspelt words in the documents. It needs node, npm and the packages of package-lock.json, and says so where it
# cannot have them.
set -euo pipefail
cd "$(dirname "$0")"
skip() {
	echo "prose: SKIPPED: $*" >&2
	exit 0
}
for program in node npm; do command -v $program >/dev/null || skip "there is no $program"; done
said=$(timeout 300 npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --fetch-retries=1 2>&1) || {
	if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONN|ENETUNREACH|EHOSTUNREACH|TIMEDOUT|TIMEOUT|ENOTCACHED|E4(01|03|07|29)|E5[0-9][0-9]' <<<"$said"; then
		skip "the packages cannot be had: $said"
	fi
	echo "prose: npm ci: $said" >&2
	exit 1
}
node_modules/.bin/cspell lint --config cspell.json --root ../.. --no-progress --show-suggestions || {
	echo "prose: the words above are in no dictionary: mend them, or add them to .ci/prose/words.txt" >&2
	exit 1
}
