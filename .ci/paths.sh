#!/usr/bin/env bash
# paths.sh refuses what holds on one machine only: a tracked file that names somebody's home or work
# directory, or the host of a package registry. Dependencies are named by module; where they come from
# is the affair of whoever builds. Nobody's homes (/home/user, /home/alice, …) may stand in examples.
set -euo pipefail
cd "$(dirname "$0")/.."

homes='(^|[^[:alnum:]_.~$}*/-])/(home|root|work|Users)/[[:alnum:]_.-]+'
nobody='/(home|Users)/(u|user|you|alice|bob)$'
hosts='(proxy|sum)\.golang\.org|goproxy\.(io|cn)|registry\.(npmjs\.org|yarnpkg\.com)|(deb|security|snapshot)\.debian\.org'

found=$(
	git grep -InoE "$homes" | grep -vE "$nobody" || true
	# A preset lists the hosts that an agent may reach; nothing here is fetched from them.
	git grep -InoE "$hosts" -- ':!go.sum' ':!**/go.sum' ':!cmd/internal/preset/builtin' || true
)
if [ -n "$found" ]; then
	printf '%s\n' "$found" "paths.sh: the places above are not on other machines" >&2
	exit 1
fi
