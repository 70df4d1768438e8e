#!/bin/sh
# Starts a broker and three agents on this machine, publishes policy twice, and shows what they serve. Then all of it runs until
# Ctrl-C, so that you can publish more. With --once it ends by itself. `make build` at the top of the repository comes before it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=${BIN:-$here/../../../bin}:$PATH
dir=$(mktemp -d)
started=
finish() {
	# shellcheck disable=SC2086 # they are numbers
	[ -z "$started" ] || kill $started 2>/dev/null || true
	wait
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '\n# %s\n' "$*"; }

say "A broker, whose store has the credentials of a publisher."
defenseclaw fleet server --addr 127.0.0.1:0 --store "$dir/broker" >"$dir/url" 2>"$dir/broker.log" &
started="$started $!"
until [ -s "$dir/url" ]; do
	kill -0 $! || { cat "$dir/broker.log" >&2; exit 1; }
	sleep 0.1
done
url=$(cat "$dir/url")
export DEFENSECLAW_FLEET_URL="$url/prod" DEFENSECLAW_FLEET_CREDS="$dir/broker/publisher.nk"
echo "$url"

say "A key that signs releases, and the line by which agents trust it."
defenseclaw fleet key new team --role release --out "$dir/team.key" | tee "$dir/trusted"

say "Three agents. Each has credentials of its own, which allow it to follow the channel and to say what it serves."
for n in 1 2 3; do
	defenseclaw fleet user "agent-$n" --role agent --channel prod --store "$dir/broker" --out "$dir/agent-$n.nk" >/dev/null
	defenseclaw-gateway serve --data-dir "$dir/agent-$n" --api-port 0 --source "$url/prod" --source-keys "$dir/trusted" \
		--source-creds "$dir/agent-$n.nk" --agent-id "agent-$n" >"$dir/agent-$n.log" 2>&1 &
	started="$started $!"
done
echo "agent-1, agent-2 and agent-3"

cp -R "$here/policy" "$dir/policy"
say "The first release: it is checked, tested, signed, and proved to serve."
defenseclaw fleet publish "$dir/policy" --key "$dir/team.key" --message "the first" --wait --expect 3

say "An edit: only what changed travels."
sed 's/"admin"/"operator"/' "$here/policy/authz.rego" >"$dir/policy/authz.rego"
sed 's/"admin"/"operator"/' "$here/policy/authz_test.rego" >"$dir/policy/authz_test.rego"
defenseclaw fleet publish "$dir/policy" --key "$dir/team.key" --message "operators" --wait --expect 3

say "An edit whose test fails: nothing is sent."
cp "$here/policy/authz.rego" "$dir/policy/authz.rego"
if defenseclaw fleet publish "$dir/policy" --key "$dir/team.key" --wait; then
	echo "it was sent" >&2
	exit 1
fi

say "What an agent serves."
defenseclaw policy status --data-dir "$dir/agent-1"

[ "${1:-}" != --once ] || exit 0
say "All of it runs until Ctrl-C. To publish more, in another terminal:"
cat <<END
cd $dir
export PATH=$PATH
export DEFENSECLAW_FLEET_URL=$DEFENSECLAW_FLEET_URL DEFENSECLAW_FLEET_CREDS=$DEFENSECLAW_FLEET_CREDS
\$EDITOR policy/authz.rego
defenseclaw fleet publish policy --key team.key --wait --expect 3
END
wait
