#!/usr/bin/env bash
# release.sh DIR [OS/ARCH...] writes what a release has into DIR: an archive for each platform, the list of what is in each program
# (SPDX), the documentation as a site, and the checksums. The same commit makes the same bytes. .goreleaser.yaml says the same to GoReleaser.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?release.sh: expected DIR}")
shift
[ $# -gt 0 ] || set -- linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
unset GIT_DIR GIT_WORK_TREE

case " $* " in *' windows/'*) command -v zip >/dev/null || { echo "release.sh: zip is missing: archives for Windows need it" >&2; exit 1; } ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(git describe --tags --match 'v[0-9]*' 2>/dev/null || echo "v0.0.0-$(git rev-parse --short=12 HEAD)")
stamp=@$(git log -1 --format=%ct)
parts=${PARTS:-$work}/$(git rev-parse HEAD)
.ci/parts.sh "$parts" "$@"
mkdir -p "$out"
rm -f "$out"/defenseclaw_* "$out"/defenseclaw-docs_* "$out/checksums.txt"
pack() { # FOLDER ARCHIVE
	tar -C "$work" --sort=name --mtime="$stamp" --owner=0 --group=0 --numeric-owner -c "$1" | gzip -9n >"$2"
}

for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/} suffix=
	[ "$os" != windows ] || suffix=.exe
	name=defenseclaw_${version#v}_${os}_$arch
	dir=$work/$name
	mkdir -p "$dir"
	cp "$parts/program-$os-$arch" "$dir/defenseclaw-gateway$suffix"
	cp "$parts/source"/{LICENSE,README.md,SECURITY.md,docs/CHANGELOG.md} "$dir"
	cp "$parts/man" "$dir/defenseclaw-gateway.8"
	cp -R "$parts/completion" "$dir/completions"
	"$parts/image" -spdx "$dir/defenseclaw-gateway$suffix" >"$out/$name.sbom.json"
	if [ "$os" = windows ]; then
		find "$dir" -exec touch -d "$stamp" {} +
		(cd "$work" && find "$name" -type f | LC_ALL=C sort | TZ=UTC zip -qX -@ "$out/$name.zip")
	else
		ln -s defenseclaw-gateway "$dir/defenseclaw"
		pack "$name" "$out/$name.tar.gz"
	fi
	rm -rf "$dir"
done
docs=defenseclaw-docs_${version#v}
go -C "$parts/source/.ci/site" run . -root ../.. -out "$work/$docs" >/dev/null
chmod -R u=rwX,go=rX "$work/$docs"
pack "$docs" "$out/$docs.tar.gz"
(cd "$out" && LC_ALL=C sha256sum defenseclaw_* defenseclaw-docs_* >checksums.txt)
cat "$out/checksums.txt"
