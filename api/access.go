package api

import (
	"context"
	"net/http"
	"time"

	"defenseclaw/api/accesslog"
	"defenseclaw/api/gate"
)

// accessKey is the key of a request's [accesslog.Entry] in its context. It is there only while there is an access log.
type accessKey struct{}

// accessEntry is what the access log will say of a request; nil: nothing.
func (s *Server) accessEntry(ctx context.Context) *accesslog.Entry {
	if s.cfg.Access == nil {
		return nil
	}
	e, _ := ctx.Value(accessKey{}).(*accesslog.Entry)
	return e
}

// withAccessLog writes a line for each request that next answers. Without an access log, next itself is returned.
func (s *Server) withAccessLog(next http.Handler) http.Handler {
	if s.cfg.Access == nil {
		return next
	}
	return http.HandlerFunc(func(inner http.ResponseWriter, r *http.Request) {
		if s.accessEntry(r.Context()) != nil { // the console asks on behalf of a request that has its line
			next.ServeHTTP(inner, r)
			return
		}
		e := &accesslog.Entry{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Address: r.RemoteAddr}
		if e.Address == "@" {
			e.Address = ""
		}
		w := &sizedWriter{ResponseWriter: inner, status: http.StatusOK}
		defer func() {
			e.Status, e.Bytes, e.RequestID = w.status, w.bytes, w.Header().Get(HeaderRequestID)
			s.cfg.Access.Write(*e)
		}()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), accessKey{}, e)))
	})
}

// noteRoute and noteCaller add to the line of a request, if it will have one.
func (s *Server) noteRoute(ctx context.Context, pattern string) {
	if e := s.accessEntry(ctx); e != nil && e.Route == "" {
		e.Route = pattern
	}
}

func (s *Server) noteCaller(ctx context.Context, caller gate.Caller) {
	if e := s.accessEntry(ctx); e != nil {
		e.Caller = caller.Name
	}
}

func (s *Server) noteDecision(ctx context.Context, id string) {
	if e := s.accessEntry(ctx); e != nil && e.DecisionID == "" {
		e.DecisionID = id
	}
}

// sizedWriter remembers the status and the size of an answer.
type sizedWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader passes the status on.
func (w *sizedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write passes a part of the answer on.
func (w *sizedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the server's own writer.
func (w *sizedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
