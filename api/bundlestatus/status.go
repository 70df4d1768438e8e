// Package bundlestatus tells services how it goes with bundles, in the format of OPA's status API.
//
// Most callers need [New], [Sender.Changed] whenever something has changed, and [Sender.Run]. Nobody waits for a service: what
// changes while one is slow is told with the next message, which says all.
package bundlestatus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/zap"
)

// Update is OPA's status.UpdateRequestV1, as far as there is anything to say. OPA's type is in a package that imports its
// server; a test compares the two.
type Update struct {
	Labels  map[string]string `json:"labels"`
	Bundles map[string]Bundle `json:"bundles,omitempty"`
	Plugins map[string]Plugin `json:"plugins,omitempty"`
}

// Bundle is OPA's bundle.Status. A time is the year 1 before the first.
type Bundle struct {
	Name string `json:"name"`
	// ActiveRevision is what the manifest of the version that serves calls it.
	ActiveRevision string `json:"active_revision,omitempty"`
	// LastSuccessfulActivation is when that version began to serve.
	LastSuccessfulActivation time.Time `json:"last_successful_activation"`
	Type                     string    `json:"type,omitempty"` // snapshot
	Size                     uint64    `json:"size,omitempty"` // of the newest version, in bytes as it was sent
	LastSuccessfulDownload   time.Time `json:"last_successful_download"`
	LastSuccessfulRequest    time.Time `json:"last_successful_request"`
	LastRequest              time.Time `json:"last_request"`
	Code                     string    `json:"code,omitempty"` // [ErrorCode] if something is wrong
	Message                  string    `json:"message,omitempty"`
	Errors                   []Error   `json:"errors,omitempty"` // where a policy is wrong
	HTTPCode                 int       `json:"http_code,omitempty"`
}

// ErrorCode is OPA's for all that can be wrong with a bundle.
const ErrorCode = "bundle_error"

// Error is a problem with its place, as OPA's parser and compiler tell theirs.
type Error struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Location *Location `json:"location,omitempty"`
}

// Location is a place in a file of a bundle. Row and Col count from 1.
type Location struct {
	File string `json:"file"`
	Row  int    `json:"row"`
	Col  int    `json:"col"`
}

// Plugin says whether a part works: OK, or NOT_READY before it did, or ERROR.
type Plugin struct {
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
}

// The states of a [Plugin].
const (
	StateOK       = "OK"
	StateNotReady = "NOT_READY"
)

// DefaultInterval is between two messages while nothing changes.
const DefaultInterval = 90 * time.Second

// Config is what a Sender needs. Now is required.
type Config struct {
	Now func() Update // what to tell at this moment

	// Post sends a message to the service; nil: there is none.
	Post func(ctx context.Context, message []byte) (*http.Response, error)

	Console  bool          // log each message, too
	Interval time.Duration // 0: [DefaultInterval]
	Logger   *zap.Logger   // nil: none
}

// Sender sends messages. Its methods are safe for concurrent use.
type Sender struct {
	cfg  Config
	news chan struct{}
}

// New makes a Sender, which sends nothing before Run.
func New(cfg Config) *Sender {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	return &Sender{cfg: cfg, news: make(chan struct{}, 1)}
}

// Changed says that there is something to tell. It never blocks. s may be nil.
func (s *Sender) Changed() {
	if s == nil {
		return
	}
	select {
	case s.news <- struct{}{}:
	default: // the next message tells it
	}
}

const (
	requestTimeout = 30 * time.Second
	firstPause     = 500 * time.Millisecond // after an error; doubled for each further one
	maxAnswerBytes = 64 << 10
)

// Run tells each change, and all of it from time to time, until ctx ends. It returns nil. Call it once.
func (s *Sender) Run(ctx context.Context) error {
	failures := 0
	for {
		pause, news := s.cfg.Interval/2+rand.N(s.cfg.Interval), s.news
		if failures > 0 { // changes wait, however many there are
			pause, news = util.DefaultBackoff(float64(firstPause), float64(s.cfg.Interval), failures-1), nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-news:
		}
		timer.Stop()
		err := s.send(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			if failures++; failures == 1 {
				s.cfg.Logger.Warn("the status of bundles could not be sent; it is sent again", zap.Error(err))
			}
		}
	}
}

func (s *Sender) send(ctx context.Context) error {
	message, err := json.Marshal(s.cfg.Now())
	if err != nil {
		return err
	}
	if s.cfg.Console {
		s.cfg.Logger.Info("Status Log", zap.String("type", "openpolicyagent.org/status"), zap.Any("status", json.RawMessage(message)))
	}
	if s.cfg.Post == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := s.cfg.Post(ctx, message)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswerBytes)) // so that the connection is used again
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		s.cfg.Logger.Debug("the answer to a status is incomplete", zap.Error(err)) // it was accepted
	}
	if answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the service answered %s", answer.Status)
	}
	return nil
}
