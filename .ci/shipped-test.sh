#!/usr/bin/env bash
# shipped-test.sh makes the image, the packages and the archive of HEAD for this machine's platform, of one build, and tries them.
# What one of them needs and this machine does not have is named, and that one skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
. .ci/helpers.sh
export PARTS=$work
unset GOFLAGS
arch=$(go env GOARCH)
took() { echo "shipped-test.sh: $1: $((SECONDS - since)) s" && since=$SECONDS; }
since=$SECONDS

.ci/parts.sh "$PARTS/$(git rev-parse HEAD)" "linux/$arch"
took "the build"
.ci/image.sh "$work/image.tar" "$arch"
.ci/image-test.sh "$work/image.tar"
.ci/image.sh "$work/again.tar" "$arch" >/dev/null
cmp "$work/image.tar" "$work/again.tar"
took "the image"
.ci/packages-test.sh
took "the packages"

os=$(go env GOOS)
.ci/release.sh "$work/release" "$os/$arch" >/dev/null
(cd "$work/release" && sha256sum --check --quiet checksums.txt)
mkdir "$work/unpacked"
tar -xzf "$work"/release/defenseclaw_*_"${os}_$arch".tar.gz -C "$work/unpacked" --strip-components 1
for file in defenseclaw-gateway.8 LICENSE README.md SECURITY.md CHANGELOG.md completions/defenseclaw.bash; do
	[ -s "$work/unpacked/$file" ] || fail "the archive has no $file"
done
says "$(git rev-parse HEAD)" "$work/unpacked/defenseclaw" --version || fail "the program of the archive does not name the commit"
grep -q '"SPDX-2.3"' "$work"/release/*.sbom.json || fail "there is no list of what is in the program"
tar -tzf "$work"/release/defenseclaw-docs_*.tar.gz >"$work/docs"
for file in index.html site.js search-sections.js docs/reference/configuration.html; do
	grep -q "^defenseclaw-docs_[^/]*/$file\$" "$work/docs" || fail "the documentation has no $file"
done
. .ci/shipped.sh
grep -qF "tags: [${tags//,/, }]" .goreleaser.yaml && grep -qF "ldflags: [$ldflags]" .goreleaser.yaml || fail ".goreleaser.yaml has other tags or flags than .ci/shipped.sh"
took "the archive"
