#!/usr/bin/env bash
# size.sh [FLAG...] builds the sidecar stripped, for linux/amd64 whatever this machine is, and fails where it is larger than
# what is promised, with the tags that packages and images are built with. Flags go to go build.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=60000000
. .ci/shipped.sh
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -buildvcs=false -trimpath -tags "$tags" -ldflags "$ldflags" "$@" -o "$out/" ./cmd/defenseclaw-gateway
size=$(stat -c %s "$out/defenseclaw-gateway")
echo "size.sh: the sidecar has $size bytes of $limit"
if [ "$size" -gt $limit ]; then
	echo "size.sh: expected at most $limit. What is in it: go tool nm -size -sort size, of a build without -ldflags" >&2
	exit 1
fi
