package lsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/source"
	"defenseclaw/watcher"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
	"golang.org/x/sync/errgroup"
)

// Config says what [Serve] serves.
type Config struct {
	// Root returns the policy directory to which a folder of the editor belongs, an absolute path.
	Root     func(folder string) (string, error)
	Overlays []string // as in [source.Config]
	Version  string   // of the program
}

// pauseBeforeCheck is how long the pack is not judged after a key was hit: longer than between two keys of fast typing.
const pauseBeforeCheck = 120 * time.Millisecond

// server is one connection to an editor.
type server struct {
	cfg  Config
	rpc  *jrpc2.Server
	wake chan struct{} // something has changed; has room for one
	left chan struct{} // closed at the notification exit

	mu        sync.Mutex
	pack      *pack // nil before initialize
	stopped   bool  // the editor asked for it
	published map[string]bool
	begin     func(*pack)
}

// ErrNoShutdown is the error of [Serve] if the editor left without a request to shut down.
var ErrNoShutdown = errors.New("the editor left without the request shutdown")

// Serve talks to an editor until it leaves or ctx ends. A read of in may go on after that, until in ends.
func Serve(ctx context.Context, in io.Reader, out io.WriteCloser, cfg Config) error {
	s := &server{cfg: cfg, wake: make(chan struct{}, 1), left: make(chan struct{}), published: map[string]bool{}}
	work, end := context.WithCancel(ctx)
	defer end()
	group, groupCtx := errgroup.WithContext(work)
	engines, stopEngines := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngines()
	var engineGroup errgroup.Group
	s.begin = func(p *pack) {
		engineGroup.Go(func() error { return p.engine.Run(engines) })
		group.Go(func() error { s.follow(groupCtx, p); return nil })
		group.Go(func() error { s.judge(groupCtx, p); return nil })
	}
	s.rpc = jrpc2.NewServer(contained(s.methods()), &jrpc2.ServerOptions{AllowPush: true, DisableBuiltin: true, Concurrency: 4})
	s.rpc.Start(channel.LSP(in, out))
	ended := make(chan jrpc2.ServerStatus, 1)
	go func() { ended <- s.rpc.WaitStatus() }() // it may stay in a read that nothing ends
	var status jrpc2.ServerStatus
	select {
	case status = <-ended:
	case <-s.left:
	case <-ctx.Done():
	}
	end()
	err := group.Wait()
	stopEngines()
	err = errors.Join(err, engineGroup.Wait())
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case s.stopped || ctx.Err() != nil:
		return nil
	case status.Err != nil:
		return fmt.Errorf("the editor's messages: %w", status.Err)
	}
	return ErrNoShutdown
}

// contained makes a crash of a method the error of one request: an author keeps the editor's other help.
func contained(methods handler.Map) handler.Map {
	for name, do := range methods {
		methods[name] = func(ctx context.Context, r *jrpc2.Request) (answer any, err error) {
			err = engine.Contained(name, func() (err error) {
				answer, err = do(ctx, r)
				return err
			})
			return answer, err
		}
	}
	return methods
}

func (s *server) methods() handler.Map {
	return handler.Map{
		"initialize":                       handler.New(s.initialize),
		"initialized":                      handler.New(func(context.Context) error { return nil }),
		"shutdown":                         handler.New(s.shutdown),
		"exit":                             handler.New(s.exit),
		"$/cancelRequest":                  handler.New(s.cancel),
		"$/setTrace":                       handler.New(func(context.Context) error { return nil }),
		"workspace/didChangeConfiguration": handler.New(func(context.Context) error { return nil }),
		"workspace/didChangeWatchedFiles":  handler.New(func(context.Context) error { return nil }), // this server watches by itself
		"textDocument/didOpen":             handler.New(s.didOpen),
		"textDocument/didChange":           handler.New(s.didChange),
		"textDocument/didSave":             handler.New(func(context.Context) error { return nil }),
		"textDocument/didClose":            handler.New(s.didClose),
		"textDocument/hover":               handler.New(s.hover),
		"textDocument/definition":          handler.New(s.definition),
		"textDocument/references":          handler.New(s.references),
		"textDocument/prepareRename":       handler.New(s.prepareRename),
		"textDocument/rename":              handler.New(s.rename),
		"textDocument/completion":          handler.New(s.completion),
		"textDocument/documentSymbol":      handler.New(s.symbols),
		"textDocument/formatting":          handler.New(s.formatting),
		"textDocument/codeLens":            handler.New(s.lenses),
		"workspace/executeCommand":         handler.New(s.execute),
	}
}

func (s *server) initialize(ctx context.Context, in initializeParams) (map[string]any, error) {
	folder := in.RootPath
	uri := in.RootURI
	if len(in.WorkspaceFolders) > 0 {
		uri = in.WorkspaceFolders[0].URI
	}
	if uri != "" {
		var err error
		if folder, err = pathOf(uri); err != nil {
			return nil, err
		}
	}
	root, err := s.cfg.Root(folder)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	p, err := newPack(root, s.cfg.Overlays)
	if err != nil {
		return nil, err
	}
	if err := p.readDisk(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.tell(ctx, 2, fmt.Sprintf("%s: %s", root, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pack != nil {
		return nil, errors.New("initialize was called before")
	}
	s.pack = p
	s.begin(p)
	return map[string]any{
		"serverInfo": map[string]string{"name": "defenseclaw", "version": s.cfg.Version},
		"capabilities": map[string]any{
			"textDocumentSync": map[string]any{"openClose": true, "change": 1, "save": true},
			"hoverProvider":    true, "definitionProvider": true, "referencesProvider": true, "documentSymbolProvider": true,
			"documentFormattingProvider": true,
			"renameProvider":             map[string]any{"prepareProvider": true},
			"completionProvider":         map[string]any{"triggerCharacters": []string{"."}},
			"codeLensProvider":           map[string]any{},
			"executeCommandProvider":     map[string]any{"commands": []string{commandTest, commandTry, commandWhy}},
		},
	}, nil
}

func (s *server) shutdown(context.Context) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	return nil, nil //nolint:nilnil // the protocol wants null
}

func (s *server) exit(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.left:
	default:
		close(s.left)
	}
	return nil
}

// cancel ends a request that the editor no longer waits for.
func (s *server) cancel(_ context.Context, in struct {
	ID any `json:"id"`
}) error {
	s.rpc.CancelRequest(fmt.Sprint(in.ID))
	return nil
}

// current is the pack, or an error before initialize.
func (s *server) current() (*pack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pack == nil {
		return nil, jrpc2.Errorf(jrpc2.Code(-32002), "the request initialize comes first")
	}
	return s.pack, nil
}

// locked is current for a method that looks at the pack until it calls done.
func (s *server) locked() (_ *pack, done func(), err error) {
	p, err := s.current()
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	return p, p.mu.Unlock, nil
}

func (s *server) didOpen(_ context.Context, in openParams) error {
	p, err := s.current()
	if err == nil {
		p.open(in.TextDocument)
		s.changed()
	}
	return err
}

func (s *server) didChange(_ context.Context, in changeParams) error {
	p, err := s.current()
	if err == nil && len(in.ContentChanges) > 0 {
		in.TextDocument.Text = in.ContentChanges[len(in.ContentChanges)-1].Text
		p.open(in.TextDocument)
		s.changed()
	}
	return err
}

func (s *server) didClose(_ context.Context, in documentParams) error {
	p, err := s.current()
	if err == nil {
		p.close(in.TextDocument.URI)
		s.changed()
	}
	return err
}

func (s *server) changed() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// follow takes what other programs change in the directory.
func (s *server) follow(ctx context.Context, p *pack) {
	w, err := watcher.New(watcher.Config{Root: p.root, Relevant: source.RelevantToTests})
	if err != nil {
		s.tell(ctx, 2, fmt.Sprintf("changes by other programs are not seen: %s", err))
		return
	}
	changes := make(chan watcher.Change)
	var group errgroup.Group
	group.Go(func() error { return w.Run(ctx, changes) })
	for {
		select {
		case <-ctx.Done():
			_ = group.Wait() // it ends with ctx
			return
		case <-changes:
			if err := p.readDisk(ctx); err != nil && ctx.Err() == nil {
				s.tell(ctx, 2, err.Error())
			}
			s.changed()
		}
	}
}

// judge says what is wrong, whenever something has changed and the author pauses.
func (s *server) judge(ctx context.Context, p *pack) {
	s.changed() // the pack is judged before the first key, too
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for quiet := false; !quiet; {
			timer := time.NewTimer(pauseBeforeCheck)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-s.wake:
				timer.Stop()
			case <-timer.C:
				quiet = true
			}
		}
		found, err := p.check(ctx)
		warnings, crashed := p.warnings(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := errors.Join(err, crashed); err != nil {
			s.tell(ctx, 1, err.Error())
		}
		s.publish(ctx, p, found, warnings)
	}
}

// tell shows a message in the editor's log.
func (s *server) tell(ctx context.Context, kind int, text string) {
	_ = s.rpc.Notify(ctx, "window/logMessage", messageParams{kind, text}) // the editor may have left
}
