#!/usr/bin/env bash
# release.sh DIR [OS/ARCH…] writes what a release has into DIR: an archive for each platform, the list of what is in each program
# (SPDX), and the checksums. It builds in a clone: what is not committed is not in it, and the same commit makes the same bytes.
# .goreleaser.yaml says the same to GoReleaser, for who has it.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?release.sh: expected DIR}")
shift
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
unset GOFLAGS GIT_DIR GIT_WORK_TREE
. .ci/shipped.sh

command -v zip >/dev/null || { echo "release.sh: zip is missing: archives for Windows need it" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q . "$work/source"
export CGO_ENABLED=0
version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null || echo "v0.0.0-$(git rev-parse --short=12 HEAD)")
stamp=@$(git log -1 --format=%ct)
go -C "$work/source" build -modfile=.ci/image.mod -tags image -o "$work/list" ./.ci/image
go -C "$work/source" test -trimpath -vet=off ./cmd/internal/cli -run=TheManualPage -count=1 -args -man "$work/defenseclaw-gateway.8" >/dev/null
go -C "$work/source" build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$work/host/defenseclaw-gateway" ./cmd/defenseclaw-gateway
mkdir -p "$work/completions" "$out"
rm -f "$out"/defenseclaw_* "$out/checksums.txt"
for shell in bash zsh fish; do "$work/host/defenseclaw-gateway" completion $shell >"$work/completions/defenseclaw-gateway.$shell"; done

for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/} suffix=
	[ "$os" != windows ] || suffix=.exe
	name=defenseclaw_${version#v}_${os}_$arch
	dir=$work/$name
	mkdir -p "$dir"
	GOOS=$os GOARCH=$arch go -C "$work/source" build -buildvcs=true -trimpath -tags "$tags" -ldflags "$ldflags" -o "$dir/defenseclaw-gateway$suffix" ./cmd/defenseclaw-gateway
	cp "$work/source"/{LICENSE,README.md,SECURITY.md,docs/CHANGELOG.md} "$work/defenseclaw-gateway.8" "$dir"
	cp -r "$work/completions" "$dir"
	"$work/list" -spdx "$dir/defenseclaw-gateway$suffix" >"$out/$name.sbom.json"
	if [ "$os" = windows ]; then
		find "$dir" -exec touch -d "$stamp" {} +
		(cd "$work" && find "$name" -type f | LC_ALL=C sort | TZ=UTC zip -qX -@ "$out/$name.zip")
	else
		ln -s defenseclaw-gateway "$dir/defenseclaw"
		tar -C "$work" --sort=name --mtime="$stamp" --owner=0 --group=0 --numeric-owner -c "$name" | gzip -9n >"$out/$name.tar.gz"
	fi
	rm -rf "$dir"
done
(cd "$out" && LC_ALL=C sha256sum defenseclaw_* >checksums.txt)
cat "$out/checksums.txt"
