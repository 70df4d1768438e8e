# helpers.sh is read by scripts that start a sidecar and look at what it does. They set work, a folder of theirs.
script=${0##*/}
fail() {
	echo "$script: $*" >&2
	exit 1
}
skip() {
	echo "$script: SKIPPED: $*" >&2
	exit 0
}

# However a script ends, so does its sidecar. If it failed, the last lines of the sidecar's log say more.
sidecar=''
finish() {
	status=$?
	trap - EXIT
	if [ $status -ne 0 ] && [ -f "$work/log" ]; then tail -n 40 "$work/log" >&2; fi
	[ -z "$sidecar" ] || kill -KILL "$sidecar" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # COMMAND...
	"$@" >>"$work/log" 2>&1 </dev/null &
	sidecar=$!
}
stop() {
	kill -TERM "$sidecar"
	wait "$sidecar" || fail "the sidecar ended with $? after SIGTERM, not 0"
	sidecar=''
}
eventually() { # COMMAND...: it succeeds within a minute, while the sidecar runs
	local deadline=$((SECONDS + 60))
	until "$@" >"$work/said" 2>&1; do
		kill -0 "$sidecar" 2>/dev/null || fail "the sidecar ended before this succeeded: $*"
		[ $SECONDS -lt $deadline ] || fail "this does not succeed in a minute: $*: $(cat "$work/said")"
		sleep 0.1
	done
}
says() { # TEXT COMMAND...: the text is in what it prints
	local said
	said=$("${@:2}" 2>&1) || true
	echo "$said"
	grep -qF -- "$1" <<<"$said"
}
