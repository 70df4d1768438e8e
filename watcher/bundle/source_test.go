package bundle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"defenseclaw/watcher"
	"defenseclaw/watcher/bundle"
)

// text takes a bundle for its text, and refuses one that begins with "bad".
func text(_ context.Context, _, _ string, in io.Reader) (bundle.Unpacked, error) {
	content, err := io.ReadAll(in)
	if strings.HasPrefix(string(content), "bad") {
		return nil, errors.New("it is bad")
	}
	return string(content), err
}

// folder has a file for each bundle.
func folder(all map[string]bundle.Unpacked, previous fs.FS) (fs.FS, []string, error) {
	tree, changed := fstest.MapFS{}, []string(nil)
	for name, content := range all {
		if strings.HasPrefix(fmt.Sprint(content), "alone") && len(all) > 1 {
			return nil, nil, errors.New("it wants to be alone")
		}
		tree[name] = &fstest.MapFile{Data: []byte(fmt.Sprint(content))}
		if before, _ := previous.(fstest.MapFS); before[name] == nil || string(before[name].Data) != content {
			changed = append(changed, name)
		}
	}
	return tree, changed, nil
}

func contentOf(t *testing.T, s *bundle.Source, name string) string {
	t.Helper()
	tree, err := s.FS()
	if err != nil {
		t.Fatal(err)
	}
	content, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run starts a source, and returns its changes.
func run(t *testing.T, cfg bundle.Config) (*bundle.Source, <-chan watcher.Change) {
	t.Helper()
	cfg.Unpack, cfg.Tree = text, folder
	s, err := bundle.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan watcher.Change)
	done := make(chan error)
	go func() { done <- s.Run(ctx, changes) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, changes
}

// server is a real HTTP server of one bundle.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	content  string
	longPoll bool
	changed  chan struct{} // closed when content changes
	requests []*http.Request
}

func newServer(t *testing.T, content string) *server {
	t.Helper()
	s := &server{content: content, changed: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content = content
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	content, changed, longPoll := s.content, s.changed, s.longPoll
	s.mu.Unlock()
	if longPoll {
		w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
		if r.Header.Get("If-None-Match") == etagOf(content) {
			select {
			case <-changed:
			case <-r.Context().Done():
				return
			}
			s.mu.Lock()
			content = s.content
			s.mu.Unlock()
		}
	}
	if content == "" {
		http.Error(w, "nothing here", http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", etagOf(content))
	if r.Header.Get("If-None-Match") == etagOf(content) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = io.WriteString(w, content)
}

func etagOf(content string) string { return fmt.Sprintf("%q", content) }

// get asks the server as the sidecar's own client does.
func (s *server) get(ctx context.Context, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return s.Client().Do(r)
}

func (s *server) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still not: ", what)
		}
	}
}

func TestANewVersionIsAChange(t *testing.T) {
	web := newServer(t, "one")
	s, changes := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Millisecond})
	if c := <-changes; !c.Rescan || contentOf(t, s, "b") != "one" {
		t.Error(c)
	}
	seen := web.asked()
	eventually(t, "asked again", func() bool { return web.asked() > seen+3 })
	web.set("two")
	<-changes
	if got := contentOf(t, s, "b"); got != "two" {
		t.Error(got)
	}
	if h := s.Health()["b"]; h.Fetched != 2 || h.Bytes != 6 || h.ETag != etagOf("two") || h.Contact == 0 || h.Error != "" || h.Refused != "" {
		t.Errorf("%+v", h)
	}
}

func TestABadVersionIsFetchedOnce(t *testing.T) {
	web := newServer(t, "good")
	s, changes := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Millisecond})
	<-changes
	web.set("bad")
	eventually(t, "refused", func() bool { return s.Health()["b"].Refused == "it is bad" })
	seen := web.asked()
	eventually(t, "asked again", func() bool { return web.asked() > seen+3 })
	if h := s.Health()["b"]; h.Fetched != 2 || h.Refused == "" || h.Error != "" || contentOf(t, s, "b") != "good" {
		t.Errorf("%+v", h)
	}
	web.set("better")
	<-changes
	if h := s.Health()["b"]; h.Refused != "" || contentOf(t, s, "b") != "better" {
		t.Errorf("%+v", h)
	}
}

func TestAServerMayWaitForNews(t *testing.T) {
	web := newServer(t, "one")
	web.longPoll = true
	s, changes := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Hour})
	<-changes
	eventually(t, "waiting there", func() bool { return web.asked() == 2 })
	web.set("two")
	<-changes
	if got := contentOf(t, s, "b"); got != "two" {
		t.Error(got)
	}
	web.mu.Lock()
	defer web.mu.Unlock()
	if got := web.requests[1].Header.Get("Prefer"); got != "modes=snapshot;wait=300" {
		t.Error(got)
	}
}

func TestNothingServesBeforeEachBundleIsThere(t *testing.T) {
	one, two := newServer(t, "one"), newServer(t, "")
	s, changes := run(t, bundle.Config{Bundles: map[string]bundle.Get{"1": one.get, "2": two.get}, Poll: time.Millisecond})
	<-changes
	eventually(t, "refused there", func() bool { return s.Health()["2"].Error != "" })
	_, err := s.FS()
	if !errors.Is(err, bundle.ErrNotFetched) || err.Error() != "bundle 2: not fetched yet: the server answered 404 Not Found" {
		t.Error(err)
	}
	two.set("two")
	<-changes
	if got := contentOf(t, s, "1") + contentOf(t, s, "2"); got != "onetwo" {
		t.Error(got)
	}
	two.set("three")
	if c := <-changes; !slices.Equal(c.Paths, []string{"2"}) || !c.Rescan {
		t.Errorf("%+v", c)
	}
	two.set("alone")
	<-changes
	if _, err := s.FS(); err == nil || err.Error() != "it wants to be alone" {
		t.Error(err)
	}
}

func TestABundleOfAnEarlierRunServesUntilThereIsAnother(t *testing.T) {
	web := newServer(t, "old")
	cfg := bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Millisecond, Unpack: text, Tree: folder}
	s, err := bundle.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Adopt("b", etagOf("old"), "old")
	if got := contentOf(t, s, "b"); got != "old" || s.Health()["b"].Contact != 0 {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx, make(chan watcher.Change)) }()
	eventually(t, "in contact", func() bool { return s.Health()["b"].Contact > 0 })
	cancel()
	if err := <-done; err != nil || s.Health()["b"].Fetched != 0 {
		t.Error(err, s.Health())
	}
}

func TestABundleHasABound(t *testing.T) {
	web := newServer(t, "far too long")
	s, _ := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Millisecond, MaxBytes: 3})
	eventually(t, "refused", func() bool { return s.Health()["b"].Refused == "it has more than 3 bytes" })
}

// TestAConnectionThatBreaksIsNoBadBundle has the server end in the middle of a body.
func TestAConnectionThatBreaksIsNoBadBundle(t *testing.T) {
	web := newServer(t, "")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("ETag", `"x"`)
		_, _ = io.WriteString(w, "half")
	}))
	defer broken.Close()
	web.URL = broken.URL
	s, _ := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Millisecond})
	eventually(t, "named", func() bool { return s.Health()["b"].Error == "unexpected EOF" })
	if h := s.Health()["b"]; h.Refused != "" || h.ETag != "" {
		t.Errorf("%+v", h)
	}
}

func TestPausesGrowAndServersAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		get := func(context.Context, http.Header) (*http.Response, error) {
			at = append(at, time.Since(start))
			if len(at) == 12 {
				return &http.Response{StatusCode: http.StatusTooManyRequests, Status: "429 Too Many Requests", Header: http.Header{"Retry-After": {"300"}}, Body: http.NoBody}, nil
			}
			return nil, errors.New("refused")
		}
		s, err := bundle.New(bundle.Config{Bundles: map[string]bundle.Get{"b": get}, Poll: 40 * time.Second, Unpack: text, Tree: folder})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		if err := s.Run(ctx, make(chan watcher.Change)); err != nil {
			t.Fatal(err)
		}
		if first, last := at[1]-at[0], at[11]-at[10]; first > 750*time.Millisecond || last < 20*time.Second || last > time.Minute {
			t.Error(at)
		}
		if pause := at[12] - at[11]; pause < 300*time.Second {
			t.Error("asked again after", pause)
		}
	})
}

// TestWhoAsksForAReloadGetsTheNewest has the next look of its own far away.
func TestWhoAsksForAReloadGetsTheNewest(t *testing.T) {
	web := newServer(t, "one")
	s, changes := run(t, bundle.Config{Bundles: map[string]bundle.Get{"b": web.get}, Poll: time.Hour})
	<-changes
	web.set("two")
	if err := s.Refresh(t.Context()); err != nil || contentOf(t, s, "b") != "two" {
		t.Error(err)
	}
	web.set("bad")
	if err := s.Refresh(t.Context()); err == nil || err.Error() != "bundle b: it is bad" || contentOf(t, s, "b") != "two" {
		t.Error(err)
	}
	if err := s.Refresh(t.Context()); err == nil || err.Error() != "bundle b: it is bad" {
		t.Error("a bad version is no news, and no success:", err)
	}
	web.Close()
	if err := s.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "bundle b: ") || contentOf(t, s, "b") != "two" {
		t.Error(err)
	}
}
