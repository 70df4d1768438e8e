package consoleproof

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// inPieces is a proxy of the sidecar that sends a page piece by piece, and has the browser paint each before the next comes, as if
// the network or the machine were slow. A piece ends behind each of some texts.
func (s *sidecar) inPieces(p *page, ends ...string) (origin string) {
	s.t.Helper()
	to, err := url.Parse(s.origin())
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Dest") == "document" {
			w = &piecewise{w, ends, func() {
				time.Sleep(20 * time.Millisecond) // until the browser has it; if that is too short, it paints two pieces at once
				const frames = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(true)))))`
				_, _ = chromedp.Run(p.ctx, chromedp.Evaluate[bool](frames, chromedp.EvalAwaitPromise)) // the page before may have it
			}}
		}
		proxy.ServeHTTP(w, r)
	}))
	s.t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	return "http://127.0.0.1:" + port
}

// piecewise sends what is written to it in pieces.
type piecewise struct {
	http.ResponseWriter

	ends  []string
	pause func()
}

func (w *piecewise) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w *piecewise) Write(text []byte) (int, error) {
	for left := string(text); left != ""; {
		n := len(left)
		for _, end := range w.ends {
			if at := strings.Index(left, end); at >= 0 {
				n = min(n, at+len(end))
			}
		}
		if _, err := io.WriteString(w.ResponseWriter, left[:n]); err != nil {
			return 0, err
		}
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return 0, err
		}
		w.pause()
		left = left[n:]
	}
	return len(text), nil
}

// Nothing moves where the browser paints a page before all of it has come.
func TestNothingMovesWhileAPageComesInPieces(t *testing.T) {
	t.Parallel()
	atEachWidth(t, func(s *sidecar, width int64) {
		p := s.browse()
		p.look(width, "light")
		p.watchShifts()
		p.countChanges()
		origin := s.inPieces(p, "</a>", "</li>", "</nav>", "</span>", "</form>", "</header>", "</h1>", "</section>", "</dl>", "</table>", "</main>")
		_, code, _ := strings.Cut(s.link(), "#")
		p.do(chromedp.Navigate(origin + "/console/enter#" + code))
		p.see("h1", "All is well")
		for _, address := range []string{"/console/", "/console/timeline", "/console/decisions", "/console/try", "/console/policy", "/console/fleet", "/console/order?order=hold"} {
			p.do(chromedp.Navigate(origin + address))
			p.settled()
			p.hold(`performance.getEntriesByName("first-contentful-paint")[0].startTime < performance.getEntriesByType("navigation")[0].domInteractive`)
			p.steady(address)
		}
	})
}
