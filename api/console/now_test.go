package console_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestNowTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := open(t, sound)
	b := s.signedIn()
	s.write(map[string]string{"a.rego": "package a\n\np := \"<script>alert(1)</script>\" +\n"})
	if status, page := b.post("/console/reload"); status != http.StatusOK ||
		!strings.Contains(page, "The last good policy does") || !strings.Contains(page, "a.rego") ||
		!strings.Contains(page, "&lt;script&gt;alert(1)") || strings.Contains(page, "<script>alert") {
		t.Errorf("%d\n%s", status, page)
	}
	s.write(map[string]string{"a.rego": "package a\n\np := 2\n"})
	if _, page := b.post("/console/reload"); !strings.Contains(page, "All is well") {
		t.Errorf("after the files were mended\n%s", page)
	}
}

func TestNowWithoutAPolicy(t *testing.T) {
	t.Parallel()
	s := open(t, map[string]string{"a.rego": "package"})
	b := s.browser()
	if status, page := b.signIn(token); status != http.StatusOK || !strings.Contains(page, "No policy is loaded") {
		t.Errorf("%d\n%s", status, page)
	}
}
