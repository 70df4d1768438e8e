package decision_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

func TestAnIDNamesTheGenerationAndTheRevision(t *testing.T) {
	g, err := engine.Load(t.Context(), fstest.MapFS{"p.rego": &fstest.MapFile{Data: []byte("package p")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, hash, _ := strings.Cut(g.Revision(), ":")
	id := decision.ID(g)
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\d+\.`+hash[:12]+`$`).MatchString(id) || id == decision.ID(g) {
		t.Errorf("%s of revision %s", id, g.Revision())
	}
	h := http.Header{}
	decision.SetHeaders(h, g)
	if h.Get("X-DefenseClaw-Generation") == "" || h.Get("X-DefenseClaw-Revision") != g.Revision() {
		t.Errorf("%v", h)
	}
	for _, name := range []string{decision.HeaderGeneration, decision.HeaderRevision} {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is not spelled as a key of http.Header", name)
		}
	}
}

func TestABodyIsBoundedOnceUnpacked(t *testing.T) {
	pack := func(text string) *http.Request {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/", &packed)
		r.Header.Set("Content-Encoding", "gzip")
		return r
	}
	if body, err := decision.Body(pack(strings.Repeat("a", 1<<20))); err != nil || len(body) != 1<<20 {
		t.Errorf("1 MiB: %d bytes, %v", len(body), err)
	}
	if _, err := decision.Body(pack(strings.Repeat("a", 1<<20+1))); !errors.As(err, new(*http.MaxBytesError)) {
		t.Errorf("more: %v", err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("plain"))
	r.Header.Set("Content-Encoding", "gzip")
	if _, err := decision.Body(r); err == nil {
		t.Error("a body that only claims to be compressed is read")
	}
}

func TestAnAnswerThatCannotBeWrittenIsA500(t *testing.T) {
	w := httptest.NewRecorder()
	decision.WriteJSON(w, http.StatusOK, math.Inf(1))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"error"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
