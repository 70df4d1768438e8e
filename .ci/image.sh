#!/usr/bin/env bash
# image.sh OUT.tar [ARCH...] writes the container image of HEAD as an OCI archive, for linux/amd64 and arm64 if no architecture is
# named. The same commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?image.sh: expected OUT.tar}")
shift
[ $# -gt 0 ] || set -- amd64 arm64
unset GIT_DIR GIT_WORK_TREE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=${PARTS:-$work}/$(git rev-parse HEAD)
.ci/parts.sh "$parts" "${@/#/linux/}"
"$parts/image" "$out" "${@/#/$parts/program-linux-}"
