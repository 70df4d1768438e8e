// Command image writes an OCI archive of the sidecar for several platforms, without a daemon: the programs that it is
// given, certificate authorities, time zones, and for each platform a list of what is in the program (SPDX), as an
// artifact that refers to the image. The same programs make the same bytes.
//
//	image OUT.tar PROGRAM…
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	tag      = "latest"
	name     = "docker.io/library/defenseclaw:" + tag // what is loaded is found as defenseclaw:latest
	user     = 65532
	program  = "usr/bin/defenseclaw-gateway"
	spdxType = "application/spdx+json"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "image: expected OUT.tar PROGRAM…, or -spdx PROGRAM")
		os.Exit(2)
	}
	do := func() error { return write(os.Args[1], os.Args[2:]) }
	if os.Args[1] == "-spdx" {
		do = func() error { return list(os.Args[2]) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// list prints what is in a program.
func list(program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read what %s was built of: %w", program, err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	text, err := spdx(describe(info), fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s\n", text)
	return err
}

func write(out string, programs []string) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var lists []mutate.IndexAddendum
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read what %s was built of: %w", path, err)
		}
		b := describe(info)
		img, err := imageOf(path, b)
		if err != nil {
			return fmt.Errorf("make the image of %s: %w", path, err)
		}
		desc, err := partial.Descriptor(img)
		if err != nil {
			return err
		}
		list, err := listOf(b, *desc)
		if err != nil {
			return fmt.Errorf("list what is in %s: %w", path, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: b.os, Architecture: b.arch}}})
		lists = append(lists, mutate.IndexAddendum{Add: list, Descriptor: v1.Descriptor{ArtifactType: spdxType, Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	}
	return archive(out, mutate.AppendManifests(index, lists...))
}

func imageOf(path string, b build) (v1.Image, error) {
	layer, err := layerOf(path, b.time)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = b.os, b.arch, v1.Time{Time: b.time}
	cfg.History = nil
	cfg.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/" + program},
		Cmd:        []string{"serve"},
		WorkingDir: "/",
		Env: []string{
			"PATH=/usr/bin", "ZONEINFO=/usr/share/zoneinfo.zip",
			"DEFENSECLAW_POLICY_DIR=/etc/defenseclaw/policies", "DEFENSECLAW_HOME=/var/lib/defenseclaw",
		},
		Volumes: map[string]struct{}{"/var/lib/defenseclaw": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "defenseclaw-gateway",
			"org.opencontainers.image.description": "policy sidecar that reloads policy while it serves",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     b.version,
			"org.opencontainers.image.revision":    b.commit,
			"org.opencontainers.image.created":     b.time.Format(time.RFC3339),
		},
	}
	return mutate.ConfigFile(img, cfg)
}

// layerOf is the file system: all of it is root's and read only, but for the data directory.
func layerOf(path string, at time.Time) (v1.Layer, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	zones, err := os.ReadFile(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("read Go's time zones: %w", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range []struct {
		name, link string
		mode       int64
		owner      int
		text       []byte
	}{
		{name: "etc/", mode: 0o755},
		{name: "etc/defenseclaw/", mode: 0o755},
		{name: "etc/defenseclaw/policies/", mode: 0o755},
		{name: "etc/group", mode: 0o644, text: fmt.Appendf(nil, "root:x:0:\ndefenseclaw:x:%d:\n", user)},
		{name: "etc/passwd", mode: 0o644, text: fmt.Appendf(nil, "root:x:0:0::/:/none\ndefenseclaw:x:%d:%d::/var/lib/defenseclaw:/none\n", user, user)},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, text: authorities()},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/defenseclaw", link: "defenseclaw-gateway", mode: 0o777},
		{name: program, mode: 0o755, text: binary},
		{name: "usr/share/", mode: 0o755},
		{name: "usr/share/zoneinfo.zip", mode: 0o644, text: zones},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: "var/lib/defenseclaw/", mode: 0o700, owner: user},
	} {
		h := &tar.Header{Name: e.name, Linkname: e.link, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.text)), ModTime: at, Format: tar.FormatPAX, Typeflag: tar.TypeReg}
		switch {
		case e.link != "":
			h.Typeflag = tar.TypeSymlink
		case e.text == nil:
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return compressed(buf.Bytes())
}

// authorities are Mozilla's, but for those that are trusted under conditions that a PEM file cannot express.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return text.Bytes()
}

// listOf is an artifact with the SPDX list of a program, which refers to the image that has it.
func listOf(b build, subject v1.Descriptor) (v1.Image, error) {
	text, err := spdx(b, subject.Digest.String())
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), spdxType)
	img, err := mutate.AppendLayers(base, static.NewLayer(text, spdxType))
	if err != nil {
		return nil, err
	}
	subject.Platform = nil
	return mutate.Subject(img, subject).(v1.Image), nil
}
