#!/usr/bin/env bash
# paths.sh refuses what holds on one machine only: a tracked file that names somebody's home or work
# directory, or the host of a package registry. Dependencies are named by module; where they come from
# is the affair of whoever builds.
set -euo pipefail

homes='(^|[^[:alnum:]_.~$}/-])/(home|root|work|Users)/[[:alnum:]_.]'
hosts='(proxy|sum)\.golang\.org|goproxy\.(io|cn)|registry\.(npmjs\.org|yarnpkg\.com)|(deb|security|snapshot)\.debian\.org'

status=0
git grep -InE "$homes" && status=1
git grep -InE "$hosts" -- ':!go.sum' ':!**/go.sum' && status=1
if [ $status -ne 0 ]; then
	echo "paths.sh: the lines above name a place that other machines do not have" >&2
fi
exit $status
