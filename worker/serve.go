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
	"net/rpc"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/memfs"
	"defenseclaw/engine/source"
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

// passed are the variables that a worker has from the sidecar's environment: those of Go's runtime. Nothing
// else of it, such as a token, reaches the worker.
var passed = []string{"GOGC", "GOMAXPROCS", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "ZONEINFO"}

func (c Config) environment(lookup func(string) (string, bool)) []string {
	text, err := json.Marshal(limits{c.Timeout, c.Decisions, c.AnswerBytes, c.MemoryBytes, c.NoPrograms, c.DecisionBytes})
	if err != nil {
		text = []byte("{}") // numbers always are JSON
	}
	env := []string{variable + "=" + string(text)}
	for _, name := range passed {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Serve evaluates for the sidecar that started this process, until the sidecar ends or ends it. handler answers
// requests by a generation; it is called once for each.
func Serve(handler func(*engine.Generation) http.Handler) error {
	// A terminal and systemd send their signals to all processes of the sidecar. It drains, and needs this one for that.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	var l limits
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &l); err != nil {
		return fmt.Errorf("%s is %q: %w", variable, os.Getenv(variable), err)
	}
	if l.MemoryBytes > 0 {
		debug.SetMemoryLimit(l.MemoryBytes)
		if err := limitMemory(l.MemoryBytes); err != nil {
			return fmt.Errorf("limit the memory to %d bytes: %w", l.MemoryBytes, err)
		}
	}
	out := os.Stdout      //nolint:forbidigo // the pipe to the sidecar
	os.Stdout = os.Stderr //nolint:forbidigo // what anything prints must not mix with answers
	return serve(duplex{os.Stdin, out}, l, handler)
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
	server := rpc.NewServer()
	if err := server.RegisterName(serviceName, &service{engine: e, handler: handler, pending: map[string][]byte{}}); err != nil {
		stop()
		return err
	}
	server.ServeConn(pipe)
	stop()
	running.Wait()
	return err
}

// service is what the sidecar calls. Its methods have the form that [net/rpc] asks for.
type service struct {
	engine  *engine.Engine
	handler func(*engine.Generation) http.Handler

	mu      sync.Mutex        // guards the fields below
	pending map[string][]byte // files of the next generation that the one before had not
	held    []generation      // the newest last
}

// generation is one that this process can evaluate by.
type generation struct {
	*engine.Generation
	handler http.Handler
}

// Put takes files of the next generation.
func (s *service) Put(files []File, _ *bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		s.pending[f.Path] = f.Bytes
	}
	return nil
}

// Load makes the next generation. It keeps the one before.
func (s *service) Load(g Generation, _ *bool) error {
	loaded, err := s.load(g)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, generation{loaded, s.handler(loaded)})
	s.held = s.held[max(0, len(s.held)-held):]
	return nil
}

func (s *service) load(g Generation) (*engine.Generation, error) {
	s.mu.Lock()
	files := s.pending
	s.pending = map[string][]byte{}
	s.mu.Unlock()
	if before := s.engine.Current(); before != nil {
		for _, f := range before.Files() {
			if _, ok := files[f.Path]; !ok {
				files[f.Path] = f.Bytes
			}
		}
	}
	for _, path := range g.Removed {
		delete(files, path)
	}
	src := memfs.New(func(yield func(string, []byte) bool) {
		for path, bytes := range files {
			if !yield(path, bytes) {
				return
			}
		}
	})
	trigger := engine.Trigger{Kind: engine.TriggerAPI, AcceptRemovals: true, Source: src} // the sidecar has accepted them
	if _, err := s.engine.Reload(context.Background(), trigger); err != nil {
		return nil, err
	}
	loaded := s.engine.Current()
	if loaded.Revision() != g.Revision {
		return nil, fmt.Errorf("its revision is %s, and the sidecar's %s", loaded.Revision(), g.Revision)
	}
	return loaded.Numbered(g.Number), nil
}

// Evaluate answers a question by one of the generations that were loaded.
func (s *service) Evaluate(q Question, a *Answer) error {
	g, ok := s.generation(q.Generation)
	if !ok {
		a.NotHeld = true
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.Timeout)
	defer cancel()
	if q.Requester != "" {
		ctx = engine.WithRequester(ctx, q.Requester)
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

func (s *service) generation(number uint64) (generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.held {
		if g.Number() == number {
			return g, true
		}
	}
	return generation{}, false
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
