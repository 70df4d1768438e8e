package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// build is what a program was built of.
type build struct {
	version, commit, os, arch string
	time                      time.Time // of the commit; 1970 where the program does not know it
	info                      *buildinfo.BuildInfo
}

func describe(info *buildinfo.BuildInfo) build {
	b := build{version: info.Main.Version, time: time.Unix(0, 0).UTC(), info: info}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			b.os = s.Value
		case "GOARCH":
			b.arch = s.Value
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, s.Value); err == nil {
				b.time = at.UTC()
			}
		}
	}
	return b
}

type spdxPackage struct {
	Name     string        `json:"name"`
	ID       string        `json:"SPDXID"`
	Version  string        `json:"versionInfo"`
	Location string        `json:"downloadLocation"`
	Analyzed bool          `json:"filesAnalyzed"`
	Refs     []spdxPointer `json:"externalRefs,omitempty"`
}

type spdxPointer struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelation struct {
	From string `json:"spdxElementId"`
	Kind string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// spdx is the list, SPDX 2.3 in JSON, of the modules that a program has in it, and of Go itself.
func spdx(b build, image string) ([]byte, error) {
	const document, top = "SPDXRef-DOCUMENT", "SPDXRef-program"
	packages := []spdxPackage{{Name: "defenseclaw-gateway", ID: top, Version: b.version, Location: "NOASSERTION"}}
	relations := []spdxRelation{{document, "DESCRIBES", top}}
	add := func(name, version, purl string) {
		id := fmt.Sprintf("SPDXRef-%d", len(packages))
		packages = append(packages, spdxPackage{
			Name: name, ID: id, Version: version, Location: "NOASSERTION", Refs: []spdxPointer{{"PACKAGE-MANAGER", "purl", purl}},
		})
		relations = append(relations, spdxRelation{top, "DEPENDS_ON", id})
	}
	add("stdlib", b.info.GoVersion, "pkg:golang/stdlib@"+b.info.GoVersion)
	for _, m := range b.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(m.Path, m.Version, "pkg:golang/"+m.Path+"@"+m.Version)
	}
	return json.MarshalIndent(map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": document,
		"name": "defenseclaw-gateway " + b.os + "/" + b.arch, "documentNamespace": "urn:defenseclaw:image:" + image,
		"creationInfo": map[string]any{"created": b.time.Format(time.RFC3339), "creators": []string{"Tool: defenseclaw-image"}},
		"packages":     packages, "relationships": relations,
	}, "", " ")
}

func compressed(text []byte) (v1.Layer, error) {
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
}

// archive writes an OCI layout that has the index as its only entry, as a tar file. The entry has a name, since podman and Docker give
// the image that they load no other one.
func archive(out string, index v1.ImageIndex) error {
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag,
	})); err != nil {
		return fmt.Errorf("write the index into the layout: %w", err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := pack(w, dir); err != nil {
		return fmt.Errorf("pack the layout: %w", err)
	}
	if err := w.Close(); err != nil {
		return err
	}
	fmt.Println(digest)
	return f.Close()
}

func pack(w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
}
