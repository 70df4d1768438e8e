#!/usr/bin/env bash
# vulns.sh asks the database of Go's vulnerabilities about what the programs and the module client call. Where the database cannot
# be reached it says so and ends well: no answer is no finding.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/shipped.sh
db=${GOVULNDB:-https://vuln.go.dev}
if ! curl -fsS --max-time 20 -o /dev/null "$db/index/db.json"; then
	echo "vulns.sh: NOT CHECKED: $db cannot be reached" >&2
	exit 0
fi
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
go -C .ci/vulns build -o "$tool/" golang.org/x/vuln/cmd/govulncheck
"$tool/govulncheck" -db "$db" -tags "$tags" ./cmd/defenseclaw ./cmd/defenseclaw-gateway
(cd client && "$tool/govulncheck" -db "$db" ./...)
