package sidecar_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// secretText is in a bundle that must not be on disk.
const secretText = "the-secret-of-this-bundle"

// onDisk lists the files below a directory that hold a text, packed or not.
func onDisk(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i := range content { // what is kept of a bundle is a line, and the archive
			if r, err := gzip.NewReader(bytes.NewReader(content[i:])); err == nil {
				unpacked, _ := io.ReadAll(r)
				content = append(content, unpacked...)
				break
			}
		}
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestABundleThatIsNotToPersistIsNotOnDisk(t *testing.T) {
	web, home := newService(t), t.TempDir()
	web.publish(t, "/bundles/open", `"1"`, [2]string{".manifest", `{"roots": ["open"]}`}, [2]string{"open.rego", "package open\n\nx := 1"})
	web.publish(t, "/bundles/secret", `"1"`, [2]string{".manifest", `{"roots": ["p"]}`}, [2]string{"p.rego", "package p\n\nx := \"" + secretText + "\""})
	file := filepath.Join(t.TempDir(), "opa.yaml")
	run := func(persist string) (history string) {
		t.Helper()
		text := `
services: {acme: {url: "` + web.URL + `"}}
bundles: {open: {` + fast + `}, secret: {persist: ` + persist + `, ` + fast + `}}
`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("persist "+persist, func(t *testing.T) {
			set, _, _, _ := startWith(t, map[string]string{"DEFENSECLAW_OPA_CONFIG": file, "DEFENSECLAW_HOME": home})
			client := clientFor(t, set)
			eventually(t, "it serves", func() bool {
				return askFor(t, client, "p/x") == `"`+secretText+`"` && statusOf(t, client).State == "current"
			})
			history = set.HistoryDir(set.Place())
		})
		return history
	}
	history, sources := run("true"), filepath.Join(home, "sources")
	for _, dir := range []string{history, sources} {
		if len(onDisk(t, dir, secretText)) == 0 {
			t.Fatalf("nothing in %s holds the bundle that may be kept: this test could not fail", dir)
		}
	}
	if err := os.RemoveAll(history); err != nil { // what was kept to go back to stays until somebody removes it
		t.Fatal(err)
	}
	run("false")
	if found := onDisk(t, home, secretText); len(found) > 0 {
		t.Errorf("%v hold it", found)
	}
	if len(onDisk(t, sources, "package open")) == 0 {
		t.Error("the other bundle is not kept")
	}
}
