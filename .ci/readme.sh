#!/usr/bin/env bash
# readme.sh does what the README tells a newcomer to do, in a clone of HEAD: `make run`, then the command
# that it prints, until the sidecar has answered and, told to stop, has stopped cleanly. (`make test` is
# looked at but not run: whoever runs this runs the tests as well.)
set -euo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL GIT_DIR GIT_WORK_TREE
for variable in $(compgen -e DEFENSECLAW_ || true); do unset "$variable"; done

work=$(mktemp -d)
make_pid='' sidecar_pid=''
finish() {
	status=$?
	trap - EXIT
	if [ $status -ne 0 ] && [ -f "$work/output" ]; then
		echo "readme.sh: make run said:" >&2
		cat "$work/output" >&2
	fi
	for pid in $sidecar_pid $make_pid; do kill -KILL "$pid"; done 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
	echo "readme.sh: $*" >&2
	exit 1
}

# within SECONDS COMMAND...: asks again until the command succeeds.
within() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

field() { sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^,\"}]*\).*/\1/p" "$home/gateway.json"; }
ready() { [ "$(curl -s -o /dev/null -m 5 -w '%{http_code}' "http://$addr/health/ready")" = 200 ]; }
listening() { kill -0 "$make_pid" 2>/dev/null || fail "make run ended"; [ -s "$home/gateway.json" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }

git clone -q . "$work/checkout"
cd "$work/checkout"
grep -q '^go test' <<<"$(make -n test)" || fail "make test does not run go test"
make build

home=$work/home
export DEFENSECLAW_HOME=$home DEFENSECLAW_API_PORT=0 DEFENSECLAW_LOG_FORMAT=console
make run >"$work/output" 2>&1 </dev/null &
make_pid=$!
within 120 listening || fail "no gateway.json after two minutes"
sidecar_pid=$(field pid) addr=$(field api_addr)
within 30 ready || fail "http://$addr/health/ready is not 200 after half a minute"

# The command that make run printed, as it printed it.
try=$(sed -n '/^  .*curl -s/,/^ *$/p' "$work/output")
[ -n "$try" ] || fail "make run printed no curl command to try"
answer=$(timeout 20 bash -c "$try")
case $answer in
*'"action"'*) echo "$answer" ;;
*) fail "the command that make run printed got no decision: $answer" ;;
esac

kill -TERM "$sidecar_pid"
within 30 gone "$make_pid" || fail "the sidecar still runs half a minute after SIGTERM"
sidecar_pid=''
status=0
wait "$make_pid" || status=$?
[ $status -eq 0 ] || fail "make run ended with $status after SIGTERM, not 0"
[ ! -e "$home/gateway.json" ] || fail "gateway.json was left behind"
