package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/worker/child"
)

// variable is the environment variable that makes a program a worker; its value is a [limits] in JSON.
const variable = "DEFENSECLAW_WORKER"

// processTitle is what a list of processes shows behind the name of the program.
const processTitle = "evaluation-worker"

// limits are what a worker is told when it starts.
type limits struct {
	Timeout     time.Duration
	Decisions   int
	AnswerBytes int
	MemoryBytes int64

	NoPrograms    bool
	DecisionBytes int64
}

// Asked reports whether this process was started as a worker: then it must do nothing but [Serve].
func Asked() bool { return os.Getenv(variable) != "" }

func (c Config) environment() []string {
	text, err := json.Marshal(limits{c.Timeout, c.Decisions, c.AnswerBytes, c.MemoryBytes, c.NoPrograms, c.DecisionBytes})
	if err != nil {
		text = []byte("{}") // numbers always are JSON
	}
	return []string{variable + "=" + string(text)}
}

// Serve evaluates for the sidecar that started this process, until the sidecar ends or ends it. handler answers
// requests by a generation; it is called once for each.
func Serve(handler func(*engine.Generation) http.Handler) error {
	var l limits
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &l); err != nil {
		return fmt.Errorf("%s is %q: %w", variable, os.Getenv(variable), err)
	}
	pipe, err := child.Serving(l.MemoryBytes)
	if err != nil {
		return err
	}
	return serve(pipe, l, handler)
}

func serve(pipe io.ReadWriteCloser, l limits, handler func(*engine.Generation) http.Handler) error {
	const unlimited = 1 << 40 // the sidecar has read the files within its own limits
	e, err := engine.New(engine.Config{
		Source: func() (fs.FS, error) { return nil, errors.New("the sidecar hands over what is loaded") },
		Limits: source.Limits{FileBytes: unlimited, Memory: unlimited, Files: unlimited, Depth: unlimited},
		// The deadline of an evaluation is the sidecar's, which ends this process when too many are past it.
		DecisionTimeout: l.Timeout, MaxDecisions: l.Decisions, MaxAnswerBytes: l.AnswerBytes, AwaitAbandoned: true,
		NoPrograms: l.NoPrograms, MaxDecisionBytes: l.DecisionBytes,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { err = e.Run(ctx) })
	holder := child.NewHolder(func(ctx context.Context, l child.Loading, files fs.FS, _ generation) (generation, error) {
		trigger := engine.Trigger{Kind: engine.TriggerAPI, AcceptRemovals: true, Source: files} // the sidecar has accepted them
		if _, err := e.Reload(ctx, trigger); err != nil {
			return generation{}, err
		}
		loaded := e.Current().Numbered(l.ID)
		return generation{loaded, &answerer{handler(loaded)}}, nil
	})
	served := holder.Serve(pipe, serviceName, &service{holder})
	stop()
	running.Wait()
	return errors.Join(err, served)
}

// service is what the sidecar calls.
type service struct{ held *child.Holder[generation] }

// generation is one that this process can evaluate by.
type generation struct {
	*engine.Generation
	*answerer
}

// answerer answers requests by a generation.
type answerer struct{ handler http.Handler }

// Evaluate answers a question by one of the generations that were loaded.
func (s *service) Evaluate(q Question, a *Answer) error {
	g, ok := s.held.Held(q.Generation)
	if !ok {
		a.NotHeld = true
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.Timeout)
	defer cancel()
	if q.Requester != "" {
		ctx = engine.WithRequester(ctx, q.Requester)
	}
	if q.Prints {
		ctx = engine.WithPrinter(ctx, a.print)
	}
	switch {
	case q.Decision != nil:
		return decide(ctx, g.Generation, q.Decision, a)
	case q.Request != nil:
		return answer(ctx, g, q.Request, a)
	default:
		return errors.New("the question is empty")
	}
}

// maxPrinted bounds what an answer holds of what a decision printed, in bytes: the sidecar shows less.
const maxPrinted = 64 << 10

// print is the [engine.Printer] of the evaluation, which ends before the answer is sent.
func (a *Answer) print(p engine.Printed) {
	const each = 100 // for its place
	if a.printed += len(p.Text) + each; a.printed <= maxPrinted {
		a.Printed = append(a.Printed, p)
	}
}

func answer(ctx context.Context, g generation, q *Request, a *Answer) error {
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return err
	}
	r.Header = q.Header
	w := &response{header: http.Header{}, status: http.StatusOK}
	g.handler.ServeHTTP(w, r)
	a.Response = &Response{Status: w.status, Header: w.header, Body: w.body.Bytes()}
	return nil
}

// response is a [http.ResponseWriter] in memory.
type response struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

// Header may be changed until the handler returns.
func (w *response) Header() http.Header { return w.header }

// WriteHeader counts once.
func (w *response) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
}

// Write never fails.
func (w *response) Write(b []byte) (int, error) {
	w.wrote = true
	return w.body.Write(b)
}
