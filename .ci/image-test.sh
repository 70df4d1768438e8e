#!/usr/bin/env bash
# image-test.sh IMAGE.tar runs the sidecar of an image, unpacked, as its user on a policy directory, with nothing else of
# this machine to see. It needs root for that, and says so where it cannot.
set -euo pipefail
image=$(realpath "${1:?image-test.sh: expected IMAGE.tar}")
if [ "$(id -u)" -ne 0 ] || ! command -v chroot jq >/dev/null; then
	echo "image-test.sh: SKIPPED: this needs root, chroot and jq" >&2
	exit 0
fi

work=$(mktemp -d)
sidecar=''
finish() {
	status=$?
	trap - EXIT
	if [ $status -ne 0 ] && [ -f "$work/log" ]; then tail -n 30 "$work/log" >&2; fi
	[ -z "$sidecar" ] || kill -KILL "$sidecar" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
	exit $status
}
trap finish EXIT
fail() {
	echo "image-test.sh: $*" >&2
	exit 1
}

mkdir "$work/oci" "$work/root"
tar -xf "$image" -C "$work/oci"
blob() { echo "$work/oci/blobs/${1/://}"; }
for file in "$work"/oci/blobs/sha256/*; do
	[ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$(basename "$file")" ] || fail "the blob $file is not what its name says"
done

case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=none ;; esac
digest=$(jq -er ".manifests[] | select(.platform.architecture == \"$arch\") | .digest" "$work/oci/index.json") || fail "no image for $arch"
for platform in amd64 arm64; do
	of=$(jq -er ".manifests[] | select(.platform.architecture == \"$platform\") | .digest" "$work/oci/index.json") || fail "no image for $platform"
	listed=''
	for list in $(jq -r '.manifests[] | select(.artifactType == "application/spdx+json") | .digest' "$work/oci/index.json"); do
		[ "$(jq -r .subject.digest "$(blob "$list")")" != "$of" ] || listed=$list
	done
	[ -n "$listed" ] || fail "no SBOM refers to the image for $platform"
	jq -e '[.packages[].name] | index("github.com/open-policy-agent/opa")' "$(blob "$(jq -r '.layers[0].digest' "$(blob "$listed")")")" >/dev/null ||
		fail "the SBOM for $platform does not name OPA"
done
config=$(blob "$(jq -r .config.digest "$(blob "$digest")")")
[ "$(jq -r .config.User "$config")" = 65532:65532 ] || fail "the user is not 65532"
jq -e '.config.Labels["org.opencontainers.image.revision"] | length == 40' "$config" >/dev/null || fail "the label revision is no commit"
for layer in $(jq -r '.layers[].digest' "$(blob "$digest")"); do tar -xzf "$(blob "$layer")" -C "$work/root" --numeric-owner --same-owner -p; done
grep -q 'BEGIN CERTIFICATE' "$work/root/etc/ssl/certs/ca-certificates.crt" || fail "there are no certificate authorities"
found=$(find "$work/root" -uid 65532 ! -path "$work/root/var/lib/defenseclaw")
[ -z "$found" ] || fail "its user may write more than the data directory: $found"

# A policy that needs the time zones to answer.
chmod 755 "$work" "$work/root"
cat >"$work/root/etc/defenseclaw/policies/p.rego" <<'REGO'
package p

noon := time.clock([1751328000000000000, "Asia/Tokyo"])
REGO
mapfile -t variables < <(jq -r '.config.Env[]' "$config")
mapfile -t command < <(jq -r '.config.Entrypoint[], .config.Cmd[]' "$config")
inside=(env -i "${variables[@]}" "$(command -v chroot)" --userspec=65532:65532 --groups= "$work/root")
"${inside[@]}" "${command[@]}" --api-port 0 >"$work/log" 2>&1 </dev/null &
sidecar=$!
deadline=$((SECONDS + 60))
until "${inside[@]}" /usr/bin/defenseclaw policy status >"$work/status" 2>&1; do
	kill -0 "$sidecar" 2>/dev/null || fail "the sidecar ended"
	[ $SECONDS -lt $deadline ] || fail "it does not serve after a minute: $(cat "$work/status")"
	sleep 0.1
done
"${inside[@]}" /usr/bin/defenseclaw policy try --live p/noon | tr -d ' \n' | grep -F '[9,0,0]' >/dev/null || fail "the policy does not know the time in Tokyo"
echo 'package p

noon := "edited"' >"$work/root/etc/defenseclaw/policies/p.rego"
deadline=$((SECONDS + 30))
until "${inside[@]}" /usr/bin/defenseclaw policy try --live p/noon | grep edited >/dev/null; do
	[ $SECONDS -lt $deadline ] || fail "an edit of the policy directory does not come to serve"
	sleep 0.1
done
"${inside[@]}" /usr/bin/defenseclaw-gateway --version
kill -TERM "$sidecar"
wait "$sidecar" || fail "it ended with $? after SIGTERM, not 0"
sidecar=''
echo "image-test.sh: the image serves, reloads and stops"
