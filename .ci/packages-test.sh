#!/usr/bin/env bash
# packages-test.sh builds the packages of HEAD, and of a newer commit, and installs, runs, upgrades, removes and purges them
# in an overlay of this machine's files that is thrown away. It needs root on Debian, and says so where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
. .ci/helpers.sh

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" -eq 0 ] || skip "this needs root"
	for tool in dpkg-deb systemd-sysusers systemd-tmpfiles systemd-analyze unshare chroot man; do
		command -v $tool >/dev/null || skip "there is no $tool"
	done
	mkdir "$work/overlay"
	unshare -m bash -c 'mount -t tmpfs none "$1" && mkdir "$1"/{up,work,root} && mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"' \
		- "$work/overlay" 2>"$work/why" || skip "no overlay can be mounted here: $(cat "$work/why")"
	arch=$(dpkg --print-architecture)
	case $arch in amd64 | arm64) ;; *) skip "there is no package for $arch" ;; esac
	.ci/packages.sh "$work/old" $arch
	PARTS='' .ci/packages.sh "$work/again" $arch >/dev/null
	diff -r "$work/old" "$work/again" || fail "the same commit made other bytes"
	# A newer commit, in which the package's config.yaml is another one.
	git clone -q . "$work/newer"
	echo '# A newer line.' >>"$work/newer/.ci/packages/config.yaml"
	GIT_COMMITTER_DATE="$(($(git log -1 --format=%ct) + 60)) +0000" git -C "$work/newer" -c user.name=test -c user.email=test@example.invalid commit -qam newer
	"$work/newer/.ci/packages.sh" "$work/new" $arch
	unshare -m .ci/packages-test.sh --inside "$work"
	exit
fi

built=$2
deb=$(echo "$built"/old/*.deb) newer=$(echo "$built"/new/*.deb)
rpm=$(echo "$built"/old/*.rpm) newerrpm=$(echo "$built"/new/*.rpm)

# What is in it.
dpkg-deb --contents "$deb" >"$work/contents"
for path in usr/bin/defenseclaw-gateway 'usr/bin/defenseclaw -> defenseclaw-gateway' usr/lib/systemd/system/defenseclaw-gateway.service \
	usr/lib/systemd/system/defenseclaw-gateway.socket usr/lib/sysusers.d/defenseclaw.conf usr/lib/tmpfiles.d/defenseclaw.conf etc/defenseclaw/config.yaml \
	etc/defenseclaw/policies/ usr/share/man/man8/defenseclaw-gateway.8.gz usr/share/bash-completion/completions/defenseclaw \
	usr/share/zsh/vendor-completions/_defenseclaw usr/share/fish/vendor_completions.d/defenseclaw.fish usr/share/doc/defenseclaw/copyright \
	usr/share/doc/defenseclaw/changelog.gz usr/share/doc/defenseclaw/third-party.txt.gz usr/share/doc/defenseclaw/README.md \
	usr/share/doc/defenseclaw/how-to/operate.md; do
	grep -qF " ./$path" "$work/contents" || fail "the package has no $path"
done
[ "$(dpkg-deb --info "$deb" conffiles)" = /etc/defenseclaw/config.yaml ] || fail "config.yaml is not its conffile"
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning "$deb" || fail "lintian has objections"
else
	echo "packages-test.sh: SKIPPED: there is no lintian" >&2
fi

# A root of its own. Nothing in it reaches this machine's systemd.
top=$built/overlay root=$built/overlay/root
mount -t tmpfs none "$top"
mkdir "$top"/{up,work,root}
mount -t overlay none -o "lowerdir=/,upperdir=$top/up,workdir=$top/work" "$root"
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs none "$root/run"
mkdir "$root/packages"
cp "$built"/old/* "$root/packages"
mkdir "$root/packages/new"
cp "$built"/new/* "$root/packages/new"
within() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$root" "$@"; }
has() { [ -e "$root$1" ] || [ -L "$root$1" ] || fail "there is no $1 $2"; }
lacks() { if [ -e "$root$1" ] || [ -L "$root$1" ]; then fail "$1 is still there $2"; fi; }

data=/var/lib/defenseclaw unit=/usr/lib/systemd/system/defenseclaw-gateway.service
answers() { eventually says "$1" within defenseclaw policy try --live --data-dir $data p/answer; }
begin() { # the command of the unit, as its user, on the installed settings
	local command
	read -r -a command < <(sed -n 's/^ExecStart=//p' "$root$unit")
	start env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEFENSECLAW_API_PORT=0 chroot --userspec=defenseclaw:defenseclaw "$root" "${command[@]}"
}
edit() { printf 'package p\n\nanswer := "%s"\n' "$1" >"$root/etc/defenseclaw/policies/p.rego"; }
users() { # what belongs to the user, as a checksum
	(cd "$root" && find etc/defenseclaw/policies var/lib/defenseclaw -type f ! -name '*.sock' -exec sha256sum {} + | sort | sha256sum)
}

installed() { # what an installation promises
	within getent passwd defenseclaw >/dev/null || fail "there is no user defenseclaw"
	[ "$(stat -c '%a' "$root$data")" = 700 ] || fail "the mode of $data is not 0700"
	[ "$(within stat -c '%U %G' $data)" = 'defenseclaw defenseclaw' ] || fail "$data is not the user's"
	[ "$(within stat -c '%U %G %a' /etc/defenseclaw/config.yaml)" = 'root defenseclaw 640' ] || fail "config.yaml is not for root and the service alone"
	[ "$(readlink "$root$data/config.yaml")" = /etc/defenseclaw/config.yaml ] || fail "$data/config.yaml is no link to /etc/defenseclaw"
	within systemd-analyze verify --man=no $unit "${unit%service}socket" || fail "systemd does not accept the units"
	within systemd-analyze security --offline=true --threshold=20 --no-pager $unit >"$work/security" || fail "systemd rates the service above 2.0: $(tail -n 1 "$work/security")"
	tail -n 1 "$work/security"
	within man --warnings -l -Tutf8 /usr/share/man/man8/defenseclaw.8.gz 2>&1 >"$work/page" | grep . && fail "the manual page has mistakes"
	grep -q 'policy' "$work/page" || fail "the manual page does not tell of policy"
	within bash -c 'source /usr/share/bash-completion/completions/defenseclaw; COMP_WORDS=(defenseclaw policy rel); COMP_CWORD=2; _defenseclaw_complete; [ "${COMPREPLY[*]}" = reload ]' ||
		fail "bash does not complete rel to reload"
}

# A Debian package's life.
within dpkg -i "/packages/$(basename "$deb")" </dev/null
installed
edit first
begin
answers first
edit second
answers second
within defenseclaw policy reload --data-dir $data
echo '# A line of the administrator.' >>"$root/etc/defenseclaw/config.yaml"
stop
mine=$(sha256sum <"$root/etc/defenseclaw/config.yaml") before=$(users)
within defenseclaw --version >"$work/version"
within dpkg -i --force-confdef --force-confold "/packages/new/$(basename "$newer")" </dev/null
[ "$(users)" = "$before" ] || fail "the upgrade changed what is the user's"
[ "$(sha256sum <"$root/etc/defenseclaw/config.yaml")" = "$mine" ] || fail "the upgrade changed the administrator's config.yaml"
has /etc/defenseclaw/config.yaml.dpkg-dist "after the upgrade"
installed
within defenseclaw --version | diff -q "$work/version" - >/dev/null && fail "the upgrade left the old program"
begin
answers second
stop
before=$(users)
within dpkg -r defenseclaw </dev/null
lacks /usr/bin/defenseclaw "after the removal"
lacks $unit "after the removal"
has /etc/defenseclaw/config.yaml "after the removal"
[ "$(users)" = "$before" ] || fail "the removal changed what is the user's"
within dpkg -P defenseclaw </dev/null
lacks /etc/defenseclaw/config.yaml "after the purge"
lacks $data/config.yaml "after the purge"
[ "$(users)" = "$before" ] || fail "the purge changed what is the user's"
rm -r "$root/etc/defenseclaw" "$root$data"
within dpkg -i "/packages/$(basename "$deb")" </dev/null
within dpkg -P defenseclaw </dev/null
lacks /etc/defenseclaw "after a purge with nothing of the user's in it"
lacks $data "after a purge with nothing of the user's in it"
echo "packages-test.sh: the Debian package installs, serves, reloads, upgrades, is removed and purged"

# An RPM's.
if ! command -v rpm >/dev/null; then
	echo "packages-test.sh: SKIPPED: the RPM is not tested, since there is no rpm" >&2
	exit 0
fi
within rpm -qpl "/packages/$(basename "$rpm")" >"$work/rpm"
grep -qx /usr/share/zsh/site-functions/_defenseclaw "$work/rpm" || fail "the RPM has no completion for zsh"
[ "$(within rpm -qpc "/packages/$(basename "$rpm")")" = /etc/defenseclaw/config.yaml ] || fail "config.yaml is not the RPM's configuration"
within rpm -qp --scripts "/packages/$(basename "$rpm")" >"$work/rpm"
grep -q 'systemd-sysusers defenseclaw.conf' "$work/rpm" || fail "the RPM's script makes no user"
within rpm --initdb
within rpm -i --nodeps "/packages/$(basename "$rpm")"
installed
edit first
begin
answers first
stop
echo '# A line of the administrator.' >>"$root/etc/defenseclaw/config.yaml"
mine=$(sha256sum <"$root/etc/defenseclaw/config.yaml") before=$(users)
within rpm -U --nodeps "/packages/new/$(basename "$newerrpm")"
[ "$(users)" = "$before" ] || fail "the RPM's upgrade changed what is the user's"
[ "$(sha256sum <"$root/etc/defenseclaw/config.yaml")" = "$mine" ] || fail "the RPM's upgrade changed the administrator's config.yaml"
has /etc/defenseclaw/config.yaml.rpmnew "after the RPM's upgrade"
installed
within rpm -e --nodeps defenseclaw
lacks /usr/bin/defenseclaw "after the RPM's removal"
[ "$(sha256sum <"$root/etc/defenseclaw/config.yaml.rpmsave")" = "$mine" ] || fail "the RPM's removal lost the administrator's config.yaml"
[ "$(users)" = "$before" ] || fail "the RPM's removal changed what is the user's"
echo "packages-test.sh: the RPM installs, serves, upgrades and is removed"
