#!/usr/bin/env bash
# packages-test.sh builds the packages of HEAD, and of a newer commit, and installs, runs, upgrades, removes and purges them
# in an overlay of this machine's files that is thrown away. It needs root on Debian, and says so where it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
skip() {
	echo "packages-test.sh: SKIPPED: $*" >&2
	exit 0
}
fail() {
	echo "packages-test.sh: $*" >&2
	exit 1
}

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" -eq 0 ] || skip "this needs root"
	for tool in dpkg-deb systemd-sysusers systemd-tmpfiles systemd-analyze unshare chroot man; do
		command -v $tool >/dev/null || skip "there is no $tool"
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/overlay"
	unshare -m bash -c 'mount -t tmpfs none "$1" && mkdir "$1"/{up,work,root} && mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"' \
		- "$work/overlay" 2>"$work/why" || skip "no overlay can be mounted here: $(cat "$work/why")"
	arch=$(dpkg --print-architecture)
	case $arch in amd64 | arm64) ;; *) skip "there is no package for $arch" ;; esac
	.ci/packages.sh "$work/old" $arch
	.ci/packages.sh "$work/again" $arch >/dev/null
	diff -r "$work/old" "$work/again" || fail "the same commit made other bytes"
	# A newer commit, in which the package's config.yaml is another one.
	git clone -q . "$work/newer"
	echo '# A newer line.' >>"$work/newer/.ci/packages/config.yaml"
	GIT_COMMITTER_DATE="$(($(git log -1 --format=%ct) + 60)) +0000" git -C "$work/newer" -c user.name=test -c user.email=test@example.invalid commit -qam newer
	"$work/newer/.ci/packages.sh" "$work/new" $arch
	unshare -m .ci/packages-test.sh --inside "$work"
	exit
fi

work=$2
deb=$(echo "$work"/old/*.deb) newer=$(echo "$work"/new/*.deb)
rpm=$(echo "$work"/old/*.rpm) newerrpm=$(echo "$work"/new/*.rpm)

# What is in it.
dpkg-deb --contents "$deb" >"$work/contents"
for path in usr/bin/defenseclaw-gateway 'usr/bin/defenseclaw -> defenseclaw-gateway' usr/lib/systemd/system/defenseclaw-gateway.service \
	usr/lib/systemd/system/defenseclaw-gateway.socket usr/lib/sysusers.d/defenseclaw.conf usr/lib/tmpfiles.d/defenseclaw.conf etc/defenseclaw/config.yaml \
	etc/defenseclaw/policies/ usr/share/man/man8/defenseclaw-gateway.8.gz usr/share/bash-completion/completions/defenseclaw \
	usr/share/zsh/vendor-completions/_defenseclaw usr/share/fish/vendor_completions.d/defenseclaw.fish usr/share/doc/defenseclaw/copyright \
	usr/share/doc/defenseclaw/changelog.gz usr/share/doc/defenseclaw/third-party.txt.gz; do
	grep -qF " ./$path" "$work/contents" || fail "the package has no $path"
done
[ "$(dpkg-deb --info "$deb" conffiles)" = /etc/defenseclaw/config.yaml ] || fail "config.yaml is not its conffile"
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning "$deb" || fail "lintian has objections"
else
	echo "packages-test.sh: SKIPPED: there is no lintian" >&2
fi

# A root of its own. Nothing in it reaches this machine's systemd.
top=$work/overlay root=$work/overlay/root
mount -t tmpfs none "$top"
mkdir "$top"/{up,work,root}
mount -t overlay none -o "lowerdir=/,upperdir=$top/up,workdir=$top/work" "$root"
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs none "$root/run"
mkdir "$root/packages"
cp "$work"/old/* "$root/packages"
mkdir "$root/packages/new"
cp "$work"/new/* "$root/packages/new"
sidecar=''
finish() {
	status=$?
	trap - EXIT
	if [ $status -ne 0 ] && [ -f "$work/log" ]; then tail -n 30 "$work/log" >&2; fi
	[ -z "$sidecar" ] || kill -KILL "$sidecar" 2>/dev/null || true
	wait 2>/dev/null || true
	exit $status
}
trap finish EXIT
within() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$root" "$@"; }
has() { [ -e "$root$1" ] || [ -L "$root$1" ] || fail "there is no $1 $2"; }
lacks() { if [ -e "$root$1" ] || [ -L "$root$1" ]; then fail "$1 is still there $2"; fi; }

data=/var/lib/defenseclaw unit=/usr/lib/systemd/system/defenseclaw-gateway.service
try() { within defenseclaw policy try --live --data-dir $data p/answer; }
answers() { # WANT: the sidecar comes to answer it
	local deadline=$((SECONDS + 60))
	until try 2>&1 | grep -F "$1" >/dev/null; do
		kill -0 "$sidecar" 2>/dev/null || fail "the sidecar ended"
		[ $SECONDS -lt $deadline ] || fail "the answer is not $1 after a minute: $(try 2>&1)"
		sleep 0.1
	done
}
begin() { # the command of the unit, as its user, on the installed settings
	local command
	read -r -a command < <(sed -n 's/^ExecStart=//p' "$root$unit")
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEFENSECLAW_API_PORT=0 chroot --userspec=defenseclaw:defenseclaw "$root" "${command[@]}" >>"$work/log" 2>&1 </dev/null &
	sidecar=$!
}
end() {
	kill -TERM "$sidecar"
	wait "$sidecar" || fail "the sidecar ended with $? after SIGTERM, not 0"
	sidecar=''
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
end
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
end
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
end
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
