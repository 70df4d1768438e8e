#!/usr/bin/env bash
# fuzz.sh DURATION runs every fuzz target of the module for that long, one after the other: go test
# itself takes one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
duration=${1:?a duration such as 30s}

targets=$(git grep -oE --untracked '^func Fuzz[[:alnum:]_]*\(' -- '*_test.go' || true)
[ -n "$targets" ] || echo "no fuzz targets"
while IFS=: read -r file func; do
	[ -n "$file" ] || continue
	name=${func#func } package=./$(dirname "$file")
	name=${name%(}
	echo "== $name in $package"
	go test -run='^$' -fuzz="^$name\$" -fuzztime="$duration" "$package" </dev/null
done <<<"$targets"
