package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"
)

// Config is what an [Observer] needs.
type Config struct {
	Link    fleet.Config // [New] fills in that it only observes
	Channel string
	Keys    string // the file of those whose records are trusted, read each time

	// Told is called when the broker does not answer as it did, with the error, and with nil when it does again. By the goroutine of Run.
	Told func(error)
}

const (
	every    = 30 * time.Second // while nobody looks
	fresh    = time.Second      // what is no older is not asked for again
	patience = 3 * time.Second  // of who looks
	limit    = 5 * time.Second  // of one reading
)

// Seen is what was seen at a moment. It is not to be changed.
type Seen struct {
	At      time.Time // when it was asked for last that is told here; zero: the broker has not answered since the start
	Status  fleet.Status
	Agents  []fleet.Judged // by name
	More    int            // agents that are not among them
	Rollout *controller.Status
	Stages  []rollout.Progress

	Err   error // why nothing newer is known
	tried time.Time
}

// Observer follows a channel. Its methods are safe for concurrent use, but for Run, which is called once.
type Observer struct {
	cfg  Config
	asks chan struct{} // somebody looks

	// Of Run's goroutine.
	link   *fleet.Link
	reader *fleet.Reader
	failed string // what was told last

	mu   sync.Mutex // guards the fields below
	seen *Seen
	news chan struct{} // closed when seen is replaced
	hour hour
}

// New makes an observer. It asks nobody before Run.
func New(cfg Config) (*Observer, error) {
	if err := record.CheckName("the channel", cfg.Channel); err != nil {
		return nil, err
	}
	cfg.Link.Observe = true
	o := &Observer{cfg: cfg, asks: make(chan struct{}, 1), seen: &Seen{}, news: make(chan struct{})}
	if _, err := o.keys(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *Observer) keys() (*record.Keys, error) {
	text, err := os.ReadFile(o.cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("the keys of the channel: %w", err)
	}
	keys, err := record.ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("the keys of the channel: %s: %w", o.cfg.Keys, err)
	}
	return keys, nil
}

// Run follows the channel until ctx ends. Then it returns nil.
func (o *Observer) Run(ctx context.Context) error {
	defer o.disconnect()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.asks:
		case <-timer.C:
		}
		o.read(ctx)
		timer.Reset(every)
	}
}

func (o *Observer) disconnect() {
	if o.link != nil {
		o.link.Close()
	}
	o.link, o.reader = nil, nil
}

// read asks the broker, and publishes what it says.
func (o *Observer) read(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	next, err := o.ask(within)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		o.disconnect() // the credentials may have changed, too
	}
	o.tell(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		last := *o.seen
		next, last.Err = &last, err
	} else {
		next.At = time.Now()
		o.hour.put(next.At, next.Agents, fleet.LostAfter)
	}
	next.tried = time.Now()
	o.seen = next
	close(o.news)
	o.news = make(chan struct{})
}

func (o *Observer) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != o.failed && o.cfg.Told != nil {
		o.cfg.Told(err)
	}
	o.failed = text
}

// ask reads the acknowledgements, and then the record: no agent is ahead of what it saw.
func (o *Observer) ask(ctx context.Context) (*Seen, error) {
	keys, err := o.keys()
	if err != nil {
		return nil, err
	}
	if o.link == nil {
		if o.link, err = fleet.Connect(ctx, o.cfg.Link); err != nil {
			return nil, err
		}
		if o.reader, err = o.link.Reader(o.cfg.Channel); err != nil {
			return nil, err
		}
	}
	v, err := o.reader.Read(ctx)
	if err != nil {
		return nil, err
	}
	now, err := o.link.Now(ctx, o.cfg.Channel, keys)
	if err != nil {
		return nil, err
	}
	moving, err := controller.StatusOf(ctx, o.link, now, v)
	if err != nil {
		return nil, err
	}
	verdict := fleet.Judge(v, fleet.Question{Record: now.Record()})
	seen := &Seen{Status: verdict.Status(now, v, fleet.LostAfter), Agents: verdict.Agents, More: v.More, Rollout: moving}
	if r := now.Record(); r != nil {
		seen.Stages = rollout.Stages(r)
	}
	return seen, nil
}

// Look is what is so now, and what was in the last hour. It waits a few seconds at most for a broker that does not answer, and then tells what was so last.
func (o *Observer) Look(ctx context.Context) (*Seen, []Minute, error) {
	seen, news := o.current()
	if time.Since(seen.tried) > fresh {
		select {
		case o.asks <- struct{}{}:
		default: // it is about to
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		seen, _ = o.current()
	}
	if seen.At.IsZero() && seen.Err == nil {
		late := *seen
		late.Err = errors.New("the broker has not answered yet")
		seen = &late
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return seen, o.hour.until(time.Now()), nil
}

func (o *Observer) current() (*Seen, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen, o.news
}
