package jsonast_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"defenseclaw/engine/internal/jsonast"
)

// userText is data of the common kind: many records of one shape.
func userText(users int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"version": 1, "users": {`)
	for i := range users {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `"user-%06d": {"id": %d, "name": "User Number %d", "team": "team-%d", "active": %t, "roles": ["reader", "writer-%d"], "limits": {"requests": %d, "burst": 0.5}, "tags": {"region": "eu-%d", "tier": "gold"}}`,
			i, i, i, i%40, i%3 == 0, i%7, 100*(i%9), i%4)
	}
	b.WriteString(`}}`)
	return b.Bytes()
}

// The peers of the first three are each other: OPA's way, ours, and ours after an edit of one value.
func BenchmarkParse(b *testing.B) {
	text := userText(50_000)
	edited := bytes.Replace(text, []byte(`"id": 25000`), []byte(`"id": 7777777`), 1)
	before, err := jsonast.Parse(text, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"Maps", func() error { var v any; return json.Unmarshal(text, &v) }},
		{"OPA", func() error { _, err := byOPA(text); return err }},
		{"Whole", func() error { _, err := jsonast.Parse(text, nil); return err }},
		{"Edit", func() error { _, err := jsonast.Parse(edited, before); return err }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := way.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
