package decisionlog

import (
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The sinks, as [Health.Written] names them.
const (
	SinkConsole = "console"
	SinkFile    = "file"
	SinkService = "service"
)

// Why an event did not come to a sink, as [Health.Dropped] names it.
const (
	DroppedPolicy   = "policy"       // the drop policy said so; the only reason that is no loss
	DroppedQueue    = "queue"        // too many decisions waited to be made into events
	DroppedDrop     = "drop_policy"  // the drop policy could not be evaluated
	DroppedMask     = "mask_policy"  // the mask policy could not be, or asked for what is no mask
	DroppedEncoding = "encoding"     // it could not be written as JSON
	DroppedConsole  = "console"      // the console did not take it
	DroppedFile     = "file"         // nor the file
	DroppedBuffer   = "buffer"       // too many events waited for the service
	DroppedTooLarge = "upload_limit" // it alone is larger than an upload may be
	DroppedRefused  = "refused"      // the service says that it is wrong, whatever that means to it
	DroppedShutdown = "shutdown"     // it waited still when the sidecar had to end
)

// Sinks and Reasons are all there are.
var (
	Sinks   = []string{SinkConsole, SinkFile, SinkService}
	Reasons = []string{
		DroppedPolicy, DroppedQueue, DroppedDrop, DroppedMask, DroppedEncoding,
		DroppedConsole, DroppedFile, DroppedBuffer, DroppedTooLarge, DroppedRefused, DroppedShutdown,
	}
)

// Health is what became of the events since the start.
type Health struct {
	Written map[string]uint64 // by sink; the service's when it has accepted them
	Dropped map[string]uint64 // by reason
}

// quiet is how long a reason is not logged again.
const quiet = time.Minute

// counts counts, and logs losses. Its zero value without a logger is not usable.
type counts struct {
	logger *zap.Logger

	mu      sync.Mutex
	written map[string]uint64
	dropped map[string]uint64
	logged  map[string]time.Time
}

// Health tells what became of the events so far.
func (c *counts) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Health{Written: maps.Clone(c.written), Dropped: maps.Clone(c.dropped)}
}

func (c *counts) wrote(sink string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written == nil {
		c.written = map[string]uint64{}
	}
	c.written[sink] += uint64(n)
}

// drop counts n events. err is nil where dropping is no loss.
func (c *counts) drop(reason string, n int, err error) {
	c.mu.Lock()
	if c.dropped == nil {
		c.dropped = map[string]uint64{}
	}
	c.dropped[reason] += uint64(n)
	total := c.dropped[reason]
	c.mu.Unlock()
	if err != nil {
		c.complain("decision log events are dropped", err, zap.String("reason", reason), zap.Uint64("so_far", total))
	}
}

// complain logs an error, unless the same words were logged a short time ago.
func (c *counts) complain(message string, err error, fields ...zap.Field) {
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
