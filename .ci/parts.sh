#!/usr/bin/env bash
# parts.sh DIR OS/ARCH... makes of HEAD what images, packages and archives have in common: in DIR, the program for each platform
# (program-OS-ARCH), the manual page (man), completions (completion/PROGRAM.SHELL), the writer of images (image) and the clone that
# they are built in (source): what is not committed is not in them, git's commit and date are, and the same commit makes the same
# bytes. What is there already stays, so scripts that are given the same folder share one build: see PARTS in .ci/shipped-test.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(realpath -m "${1:?parts.sh: expected DIR}")
shift
unset GOFLAGS GIT_DIR GIT_WORK_TREE
export CGO_ENABLED=0
. .ci/shipped.sh

source=$dir/source
[ -d "$source" ] || git clone -q . "$source"
host=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
for platform in "$@" "$host"; do
	program=$dir/program-${platform/\//-}
	if [ ! -e "$program" ]; then
		GOOS=${platform%/*} GOARCH=${platform#*/} go -C "$source" build -buildvcs=true -trimpath -tags "$tags" -ldflags "$ldflags" \
			-o "$program" ./cmd/defenseclaw-gateway
	fi
	size=$(stat -c %s "$program")
	case $platform in
	linux/*) [ "$size" -le 60000000 ] || { echo "parts.sh: the program for $platform has $size bytes: expected at most 60,000,000" >&2; exit 1; } ;;
	esac
done
[ -e "$dir/image" ] || go -C "$source/.ci/image" build -o "$dir/image" .
[ -e "$dir/man" ] || go -C "$source" test -trimpath -vet=off ./cmd/internal/cli -run=TheManualPage -count=1 -args -man "$dir/man" >/dev/null
if [ ! -d "$dir/completion" ]; then
	mkdir -p "$dir/bin" "$dir/completion"
	for name in defenseclaw-gateway defenseclaw; do
		ln -sf "../program-${host/\//-}" "$dir/bin/$name"
		for shell in bash zsh fish; do "$dir/bin/$name" completion $shell >"$dir/completion/$name.$shell"; done
	done
fi
