package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"defenseclaw/watcher"
)

// The defaults of [Config].
const (
	DefaultPoll     = 45 * time.Second
	DefaultLongPoll = 5 * time.Minute
	DefaultMaxBytes = 256 << 20
)

// Get sends one request for a bundle with these headers in addition to its own. The caller closes the body.
type Get func(ctx context.Context, header http.Header) (*http.Response, error)

// Config says what is followed. Zero fields mean the defaults given.
type Config struct {
	Bundles  map[string]Get // by name. Required.
	Poll     time.Duration  // between two requests that are not answered late on purpose; default [DefaultPoll]
	LongPoll time.Duration  // that a server is asked to wait for news; default [DefaultLongPoll]; negative: not at all
	MaxBytes int64          // of one bundle as it is sent; default [DefaultMaxBytes]

	Pace map[string]Pace // of single bundles, by name, where it is not as above

	// Unpack reads one bundle, which the server calls etag. It is called from several goroutines. Required.
	Unpack func(ctx context.Context, name, etag string, in io.Reader) (Unpacked, error)
	// Tree makes one directory of what was unpacked, by the names of the bundles, and names the paths in which it differs
	// from previous, the directory that it made before; nil at first. Required.
	Tree func(all map[string]Unpacked, previous fs.FS) (tree fs.FS, changed []string, err error)
	// Changed is told when a bundle's [Health] has changed other than in its times. It must not block. Nil: nothing is told.
	Changed func(name string, h Health)
}

// Pace says when one bundle is asked for. Zero fields mean what [Config] says of all.
type Pace struct {
	Min, Max time.Duration // between two requests that are not answered late on purpose
	LongPoll time.Duration // as in [Config]
}

// Unpacked is what Unpack makes of a bundle: any value that can be compared.
type Unpacked any

// Health is how it goes with one bundle.
type Health struct {
	ETag    string        // of the last version that was sent, taken or not
	Fetched uint64        // versions that were sent
	Bytes   uint64        // that were sent in all
	Error   string        // why the last request was not answered, or not with a bundle; empty if it was
	Refused string        // why the last version that was sent was not taken; empty if it was
	Contact time.Duration // since the last request that was answered with a version or with no news; 0: never
	Size    uint64        // bytes of the last version that was sent
	Status  int           // that the server answered instead of a bundle, in HTTP; 0: none, or Error says what was wrong
	Times   Times
}

// Times are when things happened to a bundle, by the clock. Zero: never.
type Times struct {
	Requested time.Time // the last request was sent
	Answered  time.Time // the last request that was answered with a version or with no news was sent
	Fetched   time.Time // the last version that could be unpacked had come
}

// StatusError is what a server answered instead of a bundle.
type StatusError struct {
	Code int
	Text string
}

func (e *StatusError) Error() string { return "the server answered " + e.Text }

// ErrNotFetched is wrapped by the error of [Source.FS] before every bundle was fetched once.
var ErrNotFetched = errors.New("not fetched yet")

// Source follows bundles. All methods are safe for concurrent use.
type Source struct {
	cfg  Config
	news chan struct{} // of capacity one: there is something to hand over

	mu      sync.Mutex // guards the fields below
	bundles map[string]*followed
	tree    fs.FS
	changed map[string]bool // paths that the last change did not name
	err     error           // why there is no newer tree
}

// followed is one bundle.
type followed struct {
	health   Health
	contact  time.Time // zero: never
	unpacked Unpacked  // nil: none
	served   Unpacked  // what served last; nil: none is known
	unfit    bool      // unpacked was refused by whom it was handed to
	newest   time.Time // when the request was sent that brought the last version
}

// New makes a source that asks for nothing before Run.
func New(cfg Config) (*Source, error) {
	if len(cfg.Bundles) == 0 || cfg.Unpack == nil || cfg.Tree == nil {
		return nil, errors.New("bundle: Config.Bundles, Unpack and Tree are required")
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.LongPoll == 0 {
		cfg.LongPoll = DefaultLongPoll
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	s := &Source{cfg: cfg, news: make(chan struct{}, 1), bundles: map[string]*followed{}, changed: map[string]bool{}}
	for name := range cfg.Bundles {
		s.bundles[name] = &followed{}
	}
	return s, nil
}

// FS is the directory of the newest versions. Before each bundle was fetched once, and while they do not go together, it is
// an error that says so.
func (s *Source) FS() (fs.FS, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	if s.tree == nil {
		return nil, s.notFetched()
	}
	return s.tree, nil
}

// notFetched says which bundles are missing, and why. s.mu is held.
func (s *Source) notFetched() error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(s.bundles)) {
		b := s.bundles[name]
		switch {
		case b.unpacked != nil:
		case b.health.Error != "" || b.health.Refused != "":
			all = append(all, fmt.Errorf("bundle %s: %w: %s", name, ErrNotFetched, cmp.Or(b.health.Error, b.health.Refused)))
		default:
			all = append(all, fmt.Errorf("bundle %s: %w", name, ErrNotFetched))
		}
	}
	return errors.Join(all...)
}

// Health is how it goes with each bundle.
func (s *Source) Health() map[string]Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]Health{}
	for name, b := range s.bundles {
		h := b.health
		if !b.contact.IsZero() {
			h.Contact = max(time.Since(b.contact), 1)
		}
		all[name] = h
	}
	return all
}

// Newest is what was made of the newest version of a bundle that was taken; nil if there is none.
func (s *Source) Newest(name string) Unpacked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[name].unpacked
}

// Adopt takes a version that was kept from an earlier run, with its ETag, for what serves until a newer one is sent. It comes
// before Run.
func (s *Source) Adopt(name, etag string, unpacked Unpacked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bundles[name]
	b.unpacked, b.health.ETag = unpacked, etag
	s.plant()
}

// Refresh asks for each bundle now, and returns when [Source.FS] is as new as the servers were when it was called. It sends no
// change. The error says which servers did not answer, or what could not be taken.
func (s *Source) Refresh(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(s.cfg.Bundles))
	failed := make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() {
			sent := time.Now()
			a, err := s.ask(ctx, name, s.cfg.Bundles[name], false)
			s.note(name, sent, a, err)
			switch {
			case err != nil:
				failed[i] = fmt.Errorf("bundle %s: %w", name, err)
			case s.refused(name) != "":
				failed[i] = fmt.Errorf("bundle %s: %s", name, s.refused(name))
			}
		})
	}
	asking.Wait()
	return errors.Join(failed...)
}

func (s *Source) refused(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[name].health.Refused
}

// Run asks for the bundles until ctx ends, and sends a change to out for each new version. While nothing receives from out,
// changes merge. It returns nil when ctx ends. Call it once.
func (s *Source) Run(ctx context.Context, out chan<- watcher.Change) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for name, get := range s.cfg.Bundles {
		asking.Go(func() { s.follow(ctx, name, get) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.news:
		}
		select {
		case <-ctx.Done():
			return nil
		case out <- s.change():
		}
	}
}

// Served says of versions that were in a tree that they serve.
func (s *Source) Served(versions map[string]Unpacked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range versions {
		s.bundles[name].served = v
	}
}

// Refused says of versions that were in a tree that they cannot serve. The next tree that another bundle is the reason for
// has those that served before: one bundle does not keep the others from changing.
func (s *Source) Refused(versions map[string]Unpacked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, v := range versions {
		if b := s.bundles[name]; b.unpacked == v {
			b.unfit = true
		}
	}
}

// change names what has changed since the last call. It asks for a rescan, since what serves may be none of the trees between.
func (s *Source) change() watcher.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := slices.Sorted(maps.Keys(s.changed))
	clear(s.changed)
	return watcher.Change{Paths: paths, Rescan: true, Reason: "a bundle was fetched", At: time.Now()}
}

// plant makes the tree anew if each bundle is there. s.mu is held.
func (s *Source) plant() {
	all := map[string]Unpacked{}
	for name, b := range s.bundles {
		if b.unpacked == nil {
			return
		}
		all[name] = b.unpacked
		if b.unfit && b.served != nil {
			all[name] = b.served
		}
	}
	tree, changed, err := s.cfg.Tree(all, s.tree)
	if s.err = err; err != nil {
		return
	}
	s.tree = tree
	for _, p := range changed {
		s.changed[p] = true
	}
}
