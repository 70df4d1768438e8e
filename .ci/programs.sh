#!/usr/bin/env bash
# Installs the programs that tests drive and that no Go module brings, where this is root on a Debian that reaches its packages.
# Elsewhere the tests that need one skip, and say so.
set -uo pipefail
missing() { ! command -v "$1" >/dev/null; }
others=(node:nodejs python3:python3 javac:default-jdk-headless jq:jq rpm:rpm man:man-db tmux:tmux skopeo:skopeo) # PROGRAM:PACKAGE
all_others() { for program in "${others[@]}"; do ! missing "${program%:*}" || return 1; done; }
missing chromium || missing promtool || missing nvim || ! all_others || exit 0
if [ "$(id -u)" != 0 ] || missing apt-get; then
  echo "programs: tests that drive a program which is not here will be skipped"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt() { timeout 300 apt-get -qq -o Acquire::Retries=2 -o DPkg::Lock::Timeout=60 "$@" >/dev/null; }
apt update || echo "programs: the lists of packages cannot be had"
if missing chromium; then
  apt install -y --no-install-recommends chromium || echo "programs: no chromium: the console will not be driven"
fi
if missing nvim; then
  apt install -y --no-install-recommends neovim || echo "programs: no nvim: the language server will not be tried with an editor"
fi
if missing promtool; then # the package would start a service, and only its tool is wanted
  dir=$(mktemp -d) && chmod 755 "$dir"
  (cd "$dir" && apt download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool &&
    install usr/bin/promtool /usr/local/bin/promtool) || echo "programs: no promtool: alerts will not be tried"
  rm -rf "$dir"
fi
for program in "${others[@]}"; do # for docs/examples, and for what is shipped
  if missing "${program%:*}"; then
    apt install -y --no-install-recommends "${program#*:}" || echo "programs: no ${program%:*}: what needs it will be skipped"
  fi
done
