#!/usr/bin/env bash
# packages.sh DIR [ARCH...] writes the Debian and RPM packages of HEAD into DIR, for amd64 and arm64 if no architecture is
# named. The same commit makes the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?packages.sh: expected DIR}")
shift
[ $# -gt 0 ] || set -- amd64 arm64
unset GOFLAGS GIT_DIR GIT_WORK_TREE
export CGO_ENABLED=0 TZ=UTC LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
parts=${PARTS:-$work}/$(git rev-parse HEAD)
.ci/parts.sh "$parts" "${@/#/linux/}"
source=$parts/source files=$work/files
cp -R "$source/.ci/packages" "$files"
mkdir -p "$out" "$files/unit" "$files/docs" "$files/scripts"

# A tag names a release. Every other commit comes before the release that the changelog begins with, in the order of time.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//; s/-/~/' || true)
if [ -z "$VERSION" ]; then
	next=$(sed -n '/^## [0-9]/{s/^## \([0-9.]*\).*/\1/p;q;}' docs/CHANGELOG.md)
	VERSION=$next~git$(git log -1 --date=format-local:%Y%m%d%H%M%S --format=%cd).$(git log -1 --abbrev=12 --format=%h)
fi
export SOURCE_DATE_EPOCH VERSION

# The units are those of docs/systemd, but for paths and a user with a name.
service=$files/unit/defenseclaw-gateway.service
sed -e '1,2d' -e 's|^ExecReload=/usr/local/bin/|ExecReload=/usr/bin/|' \
	-e 's|^Documentation=.*|Documentation=man:defenseclaw-gateway(8) file:///usr/share/doc/defenseclaw/how-to/operate.md|' \
	-e 's|^ExecStart=.*|ExecStart=/usr/bin/defenseclaw-gateway serve --data-dir /var/lib/defenseclaw|' \
	-e 's|^DynamicUser=yes$|User=defenseclaw\nGroup=defenseclaw\nRemoveIPC=yes|' docs/systemd/defenseclaw-gateway.service >"$service"
for line in '[Unit]' Type=notify 'ExecReload=/usr/bin/defenseclaw-gateway policy reload --data-dir /var/lib/defenseclaw' User=defenseclaw NoNewPrivileges=yes 'ExecStart=/usr/bin/defenseclaw-gateway serve --data-dir /var/lib/defenseclaw'; do
	grep -qxF "$line" "$service" || { echo "packages.sh: the service has no line $line: docs/systemd changed" >&2; exit 1; }
done
sed 1d docs/systemd/defenseclaw-gateway.socket >"$files/unit/defenseclaw-gateway.socket"

(cd "$source/docs" && find . -name "*.md" ! -path "./examples/*" ! -path "./kubernetes/*" -exec cp --parents {} "$files/docs" \;)
cp "$source/LICENSE" "$files/LICENSE"
printf 'defenseclaw (%s) unstable; urgency=medium\n\n  * Changes that users can see are in CHANGELOG.md.\n\n -- DefenseClaw maintainers <maintainers@defenseclaw.invalid>  %s\n' \
	"$VERSION" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$files/changelog.gz"
script() { # NAME CONDITION PART...: a maintainer's script that does the parts under the condition
	{ printf '#!/bin/sh\nset -e\nif [ "$1" %s ]; then\n' "$2"; cat "${@:3}"; printf 'fi\n'; } >"$files/scripts/$1"
}
script configure '= configure' "$files/configure.sh"
script prerm '= remove' "$files/stop.sh"
script postrm '= purge' "$files/purge.sh"
script post '-ge 1' "$files/configure.sh"
script preun '= 0' "$files/stop.sh"
script postun '= 0' <(printf 'if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi\n')

gzip -9n <"$parts/man" >"$files/man.gz"
cp -R "$parts/completion" "$files"
[ -e "$parts/nfpm" ] || go -C "$source/.ci/packages" build -trimpath -o "$parts/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
licences() { # of Go and of each module that the program $1 is linked with
	cat "$(go env GOROOT)/LICENSE"
	go version -m "$1" | awk '$1 == "dep" { print $2 }' | sort >"$work/linked"
	go -C "$source" list -m -f '{{.Path}} {{.Version}} {{.Dir}}' all | sort | join - "$work/linked" | while read -r module version dir; do
		printf '\n---- %s %s\n\n' "$module" "$version"
		find "$dir" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | grep . | xargs -d '\n' cat ||
			{ echo "packages.sh: $module has no licence" >&2; return 1; }
	done
}
# Every architecture is linked with the same modules.
licences "$parts/program-linux-$1" >"$work/licences"
gzip -9n <"$work/licences" >"$files/docs/third-party.txt.gz"
for ARCH in "$@"; do
	export ARCH
	cp "$parts/program-linux-$ARCH" "$files/program"
	for kind in deb rpm; do
		case $kind-$ARCH in rpm-amd64) suffix=.x86_64.rpm ;; rpm-arm64) suffix=.aarch64.rpm ;; *) suffix=_$ARCH.deb ;; esac
		(cd "$files" && "$parts/nfpm" package -f nfpm.yaml -p $kind -t "$out/defenseclaw_$VERSION$suffix" >&2)
		echo "$out/defenseclaw_$VERSION$suffix"
	done
done
