#!/usr/bin/env bash
# comments.sh MIN FOLDER... prints the ratio of comment lines to code lines of each package folder,
# tests left out, and fails if one is below MIN. A comment line holds nothing but a comment; a line of
# code with a comment behind it counts as code, and an empty line as neither.
set -euo pipefail
cd "$(dirname "$0")/.."
min=${1:?a ratio such as 0.25}
shift

status=0
for folder; do
	files=$(git ls-files --cached --others --exclude-standard -- ":(glob)$folder/*.go" ":(exclude,glob)$folder/*_test.go")
	[ -n "$files" ] || { echo "comments.sh: no Go files in $folder" >&2; exit 1; }
	cat $files | awk -v min="$min" -v folder="$folder" '
		/^[[:space:]]*\/\// { comments++; next }
		/[^[:space:]]/ { code++ }
		END {
			ratio = comments / code
			printf "%-32s %4d comment lines, %4d code lines: %.2f\n", folder, comments, code, ratio
			exit ratio < min
		}' || { echo "comments.sh: $folder is below $min" >&2; status=1; }
done
exit $status
