package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine/review"
)

// Progress is the data of an event `progress`: how far work is that takes long.
type Progress struct {
	Step    string `json:"step"` // wait, load, replay, probe or coverage
	Done    int    `json:"done,omitempty"`
	Total   int    `json:"total,omitempty"` // 0: nobody knows how much there is to do
	Elapsed int64  `json:"elapsed_ms"`      // since the work was asked for
}

// FailedWork is the data of an event `error`: what the answer would have been without events.
type FailedWork struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// Steps of work that are no part of a review.
const (
	stepWait = "wait" // for other work
	stepLoad = "load" // the policies that are compared
)

const kindEvents = "text/event-stream"

// WantsProgress reports whether a caller asks for events about the progress of work.
func WantsProgress(r *http.Request) bool {
	return r.Method != http.MethodHead && strings.Contains(r.Header.Get("Accept"), kindEvents)
}

// long has a handler answer callers who want it with events about its progress. For all of them, the work ends when they
// leave: the request's context does, and it is not ended by the time that a request may take to arrive.
func (s *Server) long(handle handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, _ = io.Copy(io.Discard, r.Body) // no route has one, and before its end nobody sees that the caller leaves
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		if !WantsProgress(r) {
			err := handle(w, r)
			if hasLeft(r) {
				return nil
			}
			return err
		}
		answer := NewMemory()
		stream := BeginWork(w)
		stream.Do(r.Context(), func(p Progress) any { return p }, func(ctx context.Context) {
			if err := handle(answer, r.WithContext(ctx)); err != nil && ctx.Err() == nil {
				s.writeError(answer, r, err)
			}
		})
		if hasLeft(r) {
			return nil
		}
		body := bytes.TrimSpace(answer.Body.Bytes())
		if answer.Status == http.StatusOK {
			stream.Send("result", body)
			return nil
		}
		stream.Send("error", fmt.Appendf(nil, `{"status":%d,"body":%s}`, answer.Status, body)) // FailedWork, and the body as it is
		return nil
	}
}

// hasLeft reports whether nobody waits for an answer any more.
func hasLeft(r *http.Request) bool { return r.Context().Err() != nil }

// WorkStream is an answer of server-sent events: how far work is, and then what came of it.
type WorkStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	began   time.Time
	broken  bool // the reader has left or is too slow

	mu  sync.Mutex // guards now
	now review.Progress
}

// BeginWork begins the answer. Work that has not begun waits.
func BeginWork(w http.ResponseWriter) *WorkStream {
	s := &WorkStream{w: w, control: http.NewResponseController(w), began: time.Now(), now: review.Progress{Step: stepWait}}
	_ = s.control.SetReadDeadline(time.Time{}) // it would end the stream
	w.Header().Set("Content-Type", kindEvents)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // keeps proxies from buffering the stream
	return s
}

// progressEvery is the time between two events, so that an elapsed time goes on where nothing else does.
const progressEvery = 500 * time.Millisecond

// Do does work, and sends an event `progress` with what say makes of it, at once and every half second. The context of the work
// ends with ctx, or when the reader is gone. Do returns when the work has ended.
func (s *WorkStream) Do(ctx context.Context, say func(Progress) any, work func(context.Context)) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	ended, silent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(silent)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			if text, err := json.Marshal(say(s.progress())); err != nil || !s.Send("progress", text) {
				leave()
				return
			}
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	}()
	defer func() { // also when the work panics
		close(ended)
		<-silent
	}()
	work(review.WithProgress(ctx, func(p review.Progress) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now = p
	}))
}

func (s *WorkStream) progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Progress{Step: s.now.Step, Done: s.now.Done, Total: s.now.Total, Elapsed: time.Since(s.began).Milliseconds()}
}

// anyLineEnd are the ends of lines that readers of events know.
var anyLineEnd = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Send sends an event, and reports whether the reader took it. It must not be called while Do runs.
func (s *WorkStream) Send(event string, data []byte) bool {
	if s.broken {
		return false
	}
	var frame bytes.Buffer
	frame.WriteString("event: " + event + "\n")
	for line := range strings.SplitSeq(anyLineEnd.Replace(string(data)), "\n") {
		frame.WriteString("data: " + line + "\n")
	}
	frame.WriteByte('\n')
	_ = s.control.SetWriteDeadline(time.Now().Add(stallTimeout)) // a writer that has none, as in a test, does without
	_, err := s.w.Write(frame.Bytes())
	if err == nil {
		err = s.control.Flush()
	}
	s.broken = err != nil
	return !s.broken
}
