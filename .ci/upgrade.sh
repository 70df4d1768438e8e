#!/usr/bin/env bash
# upgrade.sh starts this version on a data directory that an older one wrote, and that one on what this version wrote
# after it: policy, history, audit log, lists and tokens must be as they were. The older version is built from the newest
# tag that is no part of HEAD itself or, before there is one, from a commit named below; another: upgrade.sh COMMIT.
set -euo pipefail
cd "$(dirname "$0")/.."
for variable in $(compgen -e DEFENSECLAW_ || true) GIT_DIR GIT_WORK_TREE; do unset "$variable"; done

base=${1:-$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || echo 087b562)}
if ! git cat-file -e "$base^{commit}" 2>/dev/null; then
	echo "upgrade.sh: SKIPPED: the history here has no commit $base, so no older version can be built" >&2
	[ -z "${1:-}" ] || exit 1
	exit 0
fi

work=$(mktemp -d)
. .ci/helpers.sh

mkdir "$work/source" "$work/policy" "$work/home"
git archive "$base" | tar -x -C "$work/source"
export CGO_ENABLED=0
go -C "$work/source" build -buildvcs=false -o "$work/old" ./cmd/defenseclaw
go build -buildvcs=false -o "$work/new" ./cmd/defenseclaw
chmod 700 "$work/home"
export DEFENSECLAW_HOME=$work/home DEFENSECLAW_API_PORT=0

# begin PROGRAM: serves with it until it answers.
begin() {
	program=$work/$1
	start "$program" serve --policy-dir "$work/policy"
	eventually "$program" policy status
}

# edit NUMBER: has a policy of that number serve.
edit() {
	printf 'package upgrade\n\nnumber := %s\n' "$1" >"$work/policy/upgrade.rego"
	"$program" policy reload >/dev/null || fail "the edit $1 was refused"
}

# serves NUMBER: the sidecar decides by the policy of that number.
serves() {
	"$program" policy try --live upgrade/number >"$work/answer" 2>&1 || fail "no answer: $(cat "$work/answer")"
	grep -qx "$1" "$work/answer" || fail "the answer is $(cat "$work/answer"), not $1"
}

# keeps NAME...: all lists, tokens, history and records of the programs before this one are there.
keeps() {
	"$program" audit verify >/dev/null || fail "audit verify finds fault with what the last program wrote"
	for name in "$@"; do
		"$program" list show | grep "skill/$name" >/dev/null || fail "the block list lost $name"
		"$program" token list | grep "^$name" >/dev/null || fail "the token $name is gone"
		"$program" audit list --json | grep "reason-$name" >/dev/null || fail "the audit log lost the record of $name"
	done
	local entries
	entries=$("$program" policy history --policy-dir "$work/policy" | grep -c 'sha256:') || true
	[ "$entries" -ge $# ] || fail "the history has $entries entries, not $# or more"
}

# leave NAME: writes one of each.
leave() {
	"$program" list add --reason "reason-$1" block "$1" >/dev/null
	"$program" token new --name "$1" --scope read >/dev/null 2>&1
}

number=0
written=()
for turn in old new old new; do
	[ $number -ne 0 ] || printf 'package upgrade\n\nnumber := 0\n' >"$work/policy/upgrade.rego"
	begin "$turn"
	serves $number
	keeps "${written[@]}"
	number=$((number + 1))
	edit $number
	serves $number
	leave "$turn$number"
	written+=("$turn$number")
	stop
	echo "upgrade.sh: $turn: serves, and keeps what $((number - 1)) programs before it wrote"
done
