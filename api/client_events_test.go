package api

import (
	"strings"
	"testing"
)

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	const stream = "retry: 2000\nid: run-3\n\n: still here\n\nid: run-4\nevent: lifecycle\ndata: {\"a\":\ndata: 1}\n\nevent:gap\ndata:{}\n\nevent: cut off"
	var got []string
	err := readEvents(strings.NewReader(stream), func(e StreamEvent) error {
		got = append(got, e.ID+" "+e.Name+" "+string(e.Data))
		return nil
	})
	want := "run-3  |run-4 lifecycle {\"a\":\n1}|run-4 gap {}"
	if strings.Join(got, "|") != want || err != nil {
		t.Errorf("%q, %v; want %q", strings.Join(got, "|"), err, want)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1\nevent: x\ndata: y\n\n")
	f.Add(":\n\ndata\n\nid\n")
	f.Fuzz(func(t *testing.T, stream string) {
		_ = readEvents(strings.NewReader(stream), func(e StreamEvent) error {
			if strings.Contains(e.ID+e.Name, "\n") {
				t.Errorf("a line break in %q or %q", e.ID, e.Name)
			}
			return nil
		})
	})
}
