#!/usr/bin/env bash
# fuzz.sh COUNT runs every fuzz target of the module that often, one after the other: go test itself
# takes one target of one package at a time. A count such as 1000x and no time: at the end of a time
# Go 1.26 fails now and then on a busy machine with nothing found (go.dev/issue/75804).
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:?a count such as 1000x}

targets=$(git grep -oE --untracked '^func Fuzz[[:alnum:]_]*\(' -- '*_test.go' || true)
[ -n "$targets" ] || echo "no fuzz targets"
while IFS=: read -r file func; do
	[ -n "$file" ] || continue
	name=${func#func } package=./$(dirname "$file")
	name=${name%(}
	echo "== $name in $package"
	go test -run='^$' -fuzz="^$name\$" -fuzztime="$count" "$package" </dev/null
done <<<"$targets"
