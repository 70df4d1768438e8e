package signature_test

import (
	"context"
	"testing"
	"time"

	"defenseclaw/engine/memfs"
	"defenseclaw/engine/signature"
	"defenseclaw/engine/source"
)

// FuzzTheFileOfSignatures: whatever the file holds, it is refused or is what the key signed, and nothing crashes.
func FuzzTheFileOfSignatures(f *testing.F) {
	f.Add([]byte(`{"signatures": ["a.b.c"]}`))
	f.Add([]byte(`{"signatures": ["eyJhbGciOiJub25lIn0.eyJzY29wZSI6InBvbGljeSIsImtleWlkIjoicmVsZWFzZSJ9."], "plugin": ""}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if c, err := signature.Describe(content); err == nil && c.Files < 0 {
			t.Errorf("%+v", c)
		}
		src := memfs.New(func(yield func(string, []byte) bool) {
			_ = yield("a.rego", []byte("package a\n")) && yield(signed, content)
		})
		reading, err := source.Read(context.Background(), src, source.Options{TestsAside: true})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := release(t, rsaKey(), time.Now).Verify(t.Context(), src, reading); err == nil {
			t.Errorf("%q was taken for a signature of %s", content, v.By)
		}
	})
}
