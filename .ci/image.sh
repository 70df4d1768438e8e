#!/usr/bin/env bash
# image.sh OUT.tar writes the container image of HEAD, for linux/amd64 and arm64, as an OCI archive. It builds in a clone:
# what is not committed is not in it, git's commit and date are, and the same commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?image.sh: expected OUT.tar}")
unset GOFLAGS GIT_DIR GIT_WORK_TREE
. .ci/shipped.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q . "$work/source"
export CGO_ENABLED=0
programs=()
for arch in amd64 arm64; do
	GOOS=linux GOARCH=$arch go -C "$work/source" build -buildvcs=true -trimpath -tags "$tags" -ldflags "$ldflags" \
		-o "$work/$arch" ./cmd/defenseclaw-gateway
	size=$(stat -c %s "$work/$arch")
	[ "$size" -le 60000000 ] || { echo "image.sh: the program for $arch has $size bytes: expected at most 60,000,000" >&2; exit 1; }
	programs+=("$work/$arch")
done
go run -modfile=.ci/image.mod -tags image ./.ci/image "$out" "${programs[@]}"
