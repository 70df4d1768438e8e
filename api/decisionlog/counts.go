package decisionlog

import (
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The sinks: the keys of [Health.Written].
const (
	SinkConsole = "console"
	SinkFile    = "file"
	SinkService = "service"
)

// The reasons for dropping an event: the keys of [Health.Dropped].
const (
	DroppedPolicy   = "policy"       // by the drop policy: intended, not a loss
	DroppedQueue    = "queue"        // too many decisions were waiting to become events
	DroppedDrop     = "drop_policy"  // the drop policy could not be evaluated
	DroppedMask     = "mask_policy"  // the mask policy could not be evaluated, or its value is not a list of masks
	DroppedEncoding = "encoding"     // it could not be encoded as JSON
	DroppedConsole  = "console"      // writing to the console failed
	DroppedFile     = "file"         // writing to the file failed
	DroppedBuffer   = "buffer"       // too many events were waiting for the service
	DroppedTooLarge = "upload_limit" // it alone exceeds the limit of an upload
	DroppedRefused  = "refused"      // the service rejected it as invalid
	DroppedShutdown = "shutdown"     // it was still waiting when the sidecar stopped
)

// Health counts the events since the start.
type Health struct {
	Written map[string]uint64 // by sink; the service counts accepted events
	Dropped map[string]uint64 // by reason
	Failing map[string]bool   // sinks that did not take what was sent to them last
	Err     error             // the last one: of a sink, or why an event was lost; nil if there was none
	ErrorAt time.Time         // its time
}

// quiet is the minimum time between two log lines for the same reason.
const quiet = time.Minute

// counts counts events and logs losses. logger must be set.
type counts struct {
	logger *zap.Logger

	mu      sync.Mutex
	written map[string]uint64
	dropped map[string]uint64
	failing map[string]bool
	err     error
	errAt   time.Time
	logged  map[string]time.Time
}

// Health returns the current counts.
func (c *counts) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Health{Written: maps.Clone(c.written), Dropped: maps.Clone(c.dropped), Failing: maps.Clone(c.failing), Err: c.err, ErrorAt: c.errAt}
}

// write counts n events written to the sink.
func (c *counts) write(sink string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written == nil {
		c.written = map[string]uint64{}
	}
	c.written[sink] += uint64(n)
	delete(c.failing, sink)
}

// sinkOf is the sink that lost an event for a reason; empty: none.
func sinkOf(reason string) string {
	switch reason {
	case DroppedConsole:
		return SinkConsole
	case DroppedFile:
		return SinkFile
	case DroppedRefused:
		return SinkService
	default:
		return ""
	}
}

// fail notes an error of a sink; an empty one is of none. It must be called with mu.
func (c *counts) fail(sink string, err error) {
	c.err, c.errAt = err, time.Now()
	if sink == "" {
		return
	}
	if c.failing == nil {
		c.failing = map[string]bool{}
	}
	c.failing[sink] = true
}

// failed notes that a sink took nothing, and will be sent the same again.
func (c *counts) failed(sink string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(sink, err)
}

// drop counts n dropped events, and logs err unless it is nil: dropping by policy is not a loss.
func (c *counts) drop(reason string, n int, err error) {
	c.mu.Lock()
	if c.dropped == nil {
		c.dropped = map[string]uint64{}
	}
	c.dropped[reason] += uint64(n)
	total := c.dropped[reason]
	if err != nil {
		c.fail(sinkOf(reason), err)
	}
	c.mu.Unlock()
	if err != nil {
		c.warn("decision log events are dropped", err, zap.String("reason", reason), zap.Uint64("so_far", total))
	}
}

// warn logs an error, unless it has logged the same message and first field within the time quiet.
func (c *counts) warn(message string, err error, fields ...zap.Field) {
	key := message
	if len(fields) > 0 {
		key += fields[0].String
	}
	now := time.Now()
	c.mu.Lock()
	recent := now.Sub(c.logged[key]) < quiet
	if !recent {
		if c.logged == nil {
			c.logged = map[string]time.Time{}
		}
		c.logged[key] = now
	}
	c.mu.Unlock()
	if !recent {
		c.logger.Warn(message, append(fields, zap.Error(err))...)
	}
}
