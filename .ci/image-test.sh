#!/usr/bin/env bash
# image-test.sh IMAGE.tar runs the sidecar of an image, unpacked, as its user on a policy directory, with nothing else of
# this machine to see. It needs root for that, and says so where it cannot.
set -euo pipefail
image=$(realpath "${1:?image-test.sh: expected IMAGE.tar}")
work=$(mktemp -d)
. "$(dirname "$0")/helpers.sh"
[ "$(id -u)" -eq 0 ] || skip "this needs root"
for tool in chroot jq; do command -v $tool >/dev/null || skip "there is no $tool"; done

mkdir "$work/oci" "$work/root"
tar -xf "$image" -C "$work/oci"
blob() { echo "$work/oci/blobs/${1/://}"; }
for file in "$work"/oci/blobs/sha256/*; do
	[ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$(basename "$file")" ] || fail "the blob $file is not what its name says"
done

# What a tool that loads it reads first: one image, with a name, for several platforms.
jq -e '.manifests | length == 1' "$work/oci/index.json" >/dev/null || fail "there is more than one image to choose from"
jq -e '.manifests[0].annotations["io.containerd.image.name"] == "docker.io/library/defenseclaw:latest"' "$work/oci/index.json" >/dev/null ||
	fail "the image has no name"
if command -v skopeo >/dev/null; then
	skopeo copy -q --all "oci-archive:$image" "oci:$work/copied:latest" || fail "skopeo does not copy the image"
else
	echo "image-test.sh: SKIPPED: there is no skopeo to copy the image with" >&2
fi
index=$(blob "$(jq -r '.manifests[0].digest' "$work/oci/index.json")")
for of in $(jq -r '.manifests[] | select(.platform.os == "linux") | .digest' "$index"); do
	listed=''
	for list in $(jq -r '.manifests[] | select(.artifactType == "application/spdx+json") | .digest' "$index"); do
		[ "$(jq -r .subject.digest "$(blob "$list")")" != "$of" ] || listed=$list
	done
	[ -n "$listed" ] || fail "no SBOM refers to the image $of"
	jq -e '[.packages[].name] | index("github.com/open-policy-agent/opa")' "$(blob "$(jq -r '.layers[0].digest' "$(blob "$listed")")")" >/dev/null ||
		fail "the SBOM of $of does not name OPA"
done

case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=none ;; esac
digest=$(jq -er ".manifests[] | select(.platform.os == \"linux\" and .platform.architecture == \"$arch\") | .digest" "$index") || fail "no image for $arch"
config=$(blob "$(jq -r .config.digest "$(blob "$digest")")")
[ "$(jq -r .config.User "$config")" = 65532:65532 ] || fail "the user is not 65532"
jq -e '.config.Labels["org.opencontainers.image.revision"] | length == 40' "$config" >/dev/null || fail "the label revision is no commit"
for layer in $(jq -r '.layers[].digest' "$(blob "$digest")"); do tar -xzf "$(blob "$layer")" -C "$work/root" --numeric-owner --same-owner -p; done
grep -q 'BEGIN CERTIFICATE' "$work/root/etc/ssl/certs/ca-certificates.crt" || fail "there are no certificate authorities"
found=$(find "$work/root" -uid 65532 ! -path "$work/root/var/lib/defenseclaw")
[ -z "$found" ] || fail "its user may write more than the data directory: $found"

# What the dev container of policy init takes from the image is in it.
here=$(cd "$(dirname "$0")" && pwd)
go -C "$here/image" run ./dockerfile "$here/../cmd/internal/cli/starter/dot_devcontainer/Dockerfile" defenseclaw >"$work/taken"
{
	read -r from
	[ "docker.io/library/$from" = "$(jq -r '.manifests[0].annotations["io.containerd.image.name"]' "$work/oci/index.json")" ] ||
		fail "the dev container is made from $from"
	taken=0
	while read -r path; do
		[ -f "$work/root$path" ] || fail "the dev container copies $path, which the image does not have"
		taken=$((taken + 1))
	done
	[ $taken -ge 2 ] || fail "the dev container copies $taken files"
} <"$work/taken"

# A policy that needs the time zones to answer.
chmod 755 "$work" "$work/root"
cat >"$work/root/etc/defenseclaw/policies/p.rego" <<'REGO'
package p

noon := time.clock([1751328000000000000, "Asia/Tokyo"])
REGO
mapfile -t variables < <(jq -r '.config.Env[]' "$config")
mapfile -t command < <(jq -r '.config.Entrypoint[], .config.Cmd[]' "$config")
inside=(env -i "${variables[@]}" "$(command -v chroot)" --userspec=65532:65532 --groups= "$work/root")
start "${inside[@]}" "${command[@]}" --api-port 0
eventually "${inside[@]}" /usr/bin/defenseclaw policy status
noon() { "${inside[@]}" /usr/bin/defenseclaw policy try --live p/noon | tr -d ' \n'; }
says '[9,0,0]' noon || fail "the policy does not know the time in Tokyo"
printf 'package p\n\nnoon := "edited"\n' >"$work/root/etc/defenseclaw/policies/p.rego"
eventually says edited noon
"${inside[@]}" /usr/bin/defenseclaw-gateway --version
stop
echo "image-test.sh: the image serves, reloads and stops"
