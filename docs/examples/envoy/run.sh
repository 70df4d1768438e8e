#!/usr/bin/env bash
# run.sh starts the sidecar on the policy beside this file, and Envoy before it, until Ctrl-C. All that they write is in a
# temporary folder. BIN is the folder of the programs, ENVOY the program Envoy, PORT the one at which it listens.
set -euo pipefail
cd "$(dirname "$0")"
bin=${BIN:-../../../bin} envoy=${ENVOY:-envoy}
command -v "$envoy" >/dev/null || { echo "run.sh: there is no $envoy here; https://www.envoyproxy.io/docs tells how to install it" >&2; exit 1; }

umask 077 # the copy of the configuration holds a token
work=$(mktemp -d)
export DEFENSECLAW_HOME=$work/state
pids=()
finish() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

"$bin/defenseclaw-gateway" serve --policy-dir policy --api-port 0 --ext-authz-addr "unix:$work/envoy.sock" 2>"$work/log" &
pids+=($!)
until [ -S "$work/envoy.sock" ] && "$bin/defenseclaw" policy status >/dev/null 2>&1; do
  kill -0 "${pids[0]}" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
token=$("$bin/defenseclaw" token new --name envoy --scope decide)
sed -e "s|THE-TOKEN|$token|" -e "s|/run/defenseclaw|$work|" -e "s|port_value: 8000|port_value: ${PORT:-8000}|" envoy.yaml >"$work/envoy.yaml"

cat <<TRY
In another terminal:
  curl -i http://127.0.0.1:${PORT:-8000}/public/logo.png
  curl -i http://127.0.0.1:${PORT:-8000}/orders -H 'x-api-key: key-of-ada' -H 'content-type: application/json' -d '{"amount": 100}'
  curl -i http://127.0.0.1:${PORT:-8000}/orders -H 'x-api-key: key-of-ada' -H 'content-type: application/json' -d '{"amount": 101}'
TRY
"$envoy" -c "$work/envoy.yaml" --use-dynamic-base-id --log-level warning &
pids+=($!)
wait "${pids[1]}"
