package console_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/console"
	"defenseclaw/api/gate"
	"defenseclaw/engine"
	"defenseclaw/engine/enginetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-for-tests"

// site is a console on a real listener over a real engine.
type site struct {
	t       testing.TB
	url     string
	engine  *engine.Engine
	server  *api.Server
	files   atomic.Pointer[fstest.MapFS]
	revoked atomic.Bool // the token other
	now     atomic.Pointer[time.Time]
}

// other is a token beside the default one.
const other = "another-token-for-tests"

func open(t testing.TB, files map[string]string, change ...func(*api.Config)) *site {
	t.Helper()
	s := &site{t: t}
	s.write(files)
	begin := time.Now()
	s.now.Store(&begin)
	pages, err := console.New(console.Config{Version: "test", Now: func() time.Time { return *s.now.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	source := func() (fs.FS, error) { return *s.files.Load(), nil }
	s.engine = enginetest.New(t, engine.Config{Source: source})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- s.engine.Run(ctx) }()
	var refused *engine.Refused
	if _, err := s.engine.Reload(ctx, engine.Trigger{Kind: engine.TriggerStartup}); err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	cfg := api.Config{
		Engine: s.engine, PolicyDir: "pol", Token: token, BindHost: "127.0.0.1", Console: pages, RequestsPerSecond: -1,
		FindToken: func(d gate.Digest) (gate.Token, bool) {
			return gate.Token{Name: "other", Scopes: gate.ScopeRead | gate.ScopeChange}, d == gate.DigestOf(other) && !s.revoked.Load()
		},
	}
	for _, do := range change {
		do(&cfg)
	}
	if s.server, err = api.New(cfg); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + listener.Addr().String()
	go func() { done <- s.server.Run(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func (s *site) write(files map[string]string) {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	s.files.Store(&m)
}

func (s *site) later(d time.Duration) {
	then := s.now.Load().Add(d)
	s.now.Store(&then)
}

// browser keeps cookies, and sends what browsers send.
type browser struct {
	*site

	client *http.Client
	form   string // of the last page
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &browser{site: s, client: &http.Client{Jar: jar, Transport: transport}}
}

var formValue = regexp.MustCompile(`name="form" value="([^"]+)"`)

// do sends a request as a page of the console would; change may alter it.
func (b *browser) do(method, path string, form url.Values, change func(*http.Request)) (status int, page string, header http.Header) {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.url)
	}
	if change != nil {
		change(r)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if found := formValue.FindSubmatch(text); found != nil {
		b.form = string(found[1])
	}
	return answer.StatusCode, string(text), answer.Header
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	status, page, _ := b.do(http.MethodGet, path, nil, nil)
	return status, page
}

// post sends a form of the last page.
func (b *browser) post(path string, fields ...string) (int, string) {
	b.t.Helper()
	form := url.Values{"form": {b.form}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, page, _ := b.do(http.MethodPost, path, form, nil)
	return status, page
}

func (b *browser) signIn(secret string) (int, string) {
	b.t.Helper()
	return b.post("/console/enter", "secret", secret)
}

// code asks for a code, as the command does.
func (s *site) code(with string) string {
	s.t.Helper()
	client := &api.Client{Addr: strings.TrimPrefix(s.url, "http://"), Token: with, AnyListener: true}
	link, err := client.ConsoleLink(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	page, secret, _ := strings.Cut(link, "#")
	if page != s.url+"/console/enter" {
		s.t.Errorf("the code is for %s", page)
	}
	return secret
}

var sound = map[string]string{"a.rego": "package a\n\np := 1\n"}

// signedIn is a browser that has signed in and seen the first page.
func (s *site) signedIn() *browser {
	s.t.Helper()
	b := s.browser()
	if status, page := b.signIn(s.code(token)); status != http.StatusOK || !strings.Contains(page, "All is well") {
		s.t.Fatalf("sign-in: %d\n%s", status, page)
	}
	return b
}
