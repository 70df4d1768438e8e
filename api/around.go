package api

import (
	"net/http"
	"strings"
	"time"

	"defenseclaw/api/internal/decision"

	"go.uber.org/zap"
)

// countingWriter remembers the status for the metrics.
type countingWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	if status == http.StatusUnauthorized {
		Challenge(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Challenge names in the header of an answer 401 how a caller can say who it is, as HTTP asks for.
func Challenge(h http.Header) { h.Set("WWW-Authenticate", `Bearer realm="defenseclaw"`) }

// Write passes an answer on. A large one goes in parts, each of which the reader must take within
// [stallTimeout]: the whole answer is in memory until it has been taken. It bounds HTTP/2 too, where a reader
// may open many streams and take nothing from any. A small answer costs no more than before.
func (w *countingWriter) Write(p []byte) (n int, err error) {
	if len(p) <= stallBytes {
		return w.ResponseWriter.Write(p)
	}
	control, end := http.NewResponseController(w.ResponseWriter), time.Now().Add(writeTimeout)
	for len(p) > 0 && err == nil {
		if next := time.Now().Add(stallTimeout); next.Before(end) {
			_ = control.SetWriteDeadline(next) // a writer that has no deadlines, as in a test, does without
		}
		var taken int
		taken, err = w.ResponseWriter.Write(p[:min(len(p), stallBytes)])
		n, p = n+taken, p[taken:]
	}
	_ = control.SetWriteDeadline(end) // as above
	return n, err
}

// stallBytes is the size of the parts of a large answer.
const stallBytes = 64 << 10

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// HeaderRequestID carries the identifier that an answer and the logs share, spelled as a key of
// [http.Header].
const HeaderRequestID = "X-Defenseclaw-Request-Id"

// headerAuthZENRequestID is AuthZEN's name for it.
const headerAuthZENRequestID = "X-Request-Id"

// withRequestID gives every answer an identifier: the caller's own, or a new one. A caller that uses
// AuthZEN's name for it gets it back under that name, too.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := r.Header.Get(headerAuthZENRequestID); own != "" {
			w.Header().Set(headerAuthZENRequestID, own)
		}
		values := []string{requestID(r)} // one for both: the values of a header are replaced, never changed
		r.Header[HeaderRequestID], w.Header()[HeaderRequestID] = values, values
		next.ServeHTTP(w, r)
	})
}

func requestID(r *http.Request) string {
	for _, name := range [...]string{HeaderRequestID, headerAuthZENRequestID, "X-Correlation-Id"} {
		id := r.Header.Get(name)
		printable := strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
		if id != "" && len(id) <= 128 && printable {
			return id
		}
	}
	return decision.NewID()
}

// withRecovery turns a crash in one request into an answer and a log entry; without it, the caller would
// only see a closed connection.
func (s *Server) withRecovery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(v) //nolint:forbidigo // net/http's own way to abort a response
			}
			s.cfg.Logger.Error("a request crashed", zap.String("path", r.URL.Path), zap.Any("panic", v), zap.Stack("stack"))
			decision.WriteError(w, http.StatusInternalServerError, "internal error")
		}()
		next.ServeHTTP(w, r)
	})
}
