package eval

import (
	"context"
	"sync"
	"sync/atomic"
)

// maxRequesters bounds the requesters that have a quota of their own. Names come from callers' addresses; those
// beyond the bound share one.
const maxRequesters = 4096

type requesterKey struct{}

// requester names who asks, and remembers the quota of the name: a connection has one requester for all its
// decisions, which so find the quota without a lookup.
type requester struct {
	name  string
	found atomic.Pointer[quotaOf]
}

// quotaOf is what one requester has of a Limiter.
type quotaOf struct {
	limiter *Limiter
	slots   *quota
	waiting atomic.Int64
}

// WithRequester names who asks for the decisions that are made with the context. One requester holds at most three
// quarters of the slots, and of the places in the queue, whichever paths it asks for.
func WithRequester(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, requesterKey{}, &requester{name: name})
}

// Requester is the name that [WithRequester] gave: another process that evaluates for this one bounds by it, too.
func Requester(ctx context.Context) string {
	if by, ok := ctx.Value(requesterKey{}).(*requester); ok {
		return by.name
	}
	return ""
}

// requesters are those of a Limiter, by name. They stay: a name that asked once asks again, and finding out which
// ones hold nothing would need a lock that every decision takes.
type requesters struct {
	byName sync.Map // string → *quotaOf
	count  atomic.Int64
	others *quotaOf
}

// quotaIn returns nil for a context without a requester.
func (l *Limiter) quotaIn(ctx context.Context) *quotaOf {
	by, ok := ctx.Value(requesterKey{}).(*requester)
	if !ok { // such as the decision log's own policies, which no caller asks for
		return nil
	}
	// Another Limiter is one of a test: a process has one for all generations.
	if found := by.found.Load(); found != nil && found.limiter == l {
		return found
	}
	// Two decisions may look it up at once, and find the same.
	found := l.quotaNamed(by.name)
	by.found.Store(found)
	return found
}

func (l *Limiter) quotaNamed(name string) *quotaOf {
	if found, ok := l.requesters.byName.Load(name); ok {
		return found.(*quotaOf) //nolint:errcheck,forcetypeassert // nothing else is stored
	}
	if l.requesters.count.Add(1) > maxRequesters {
		return l.requesters.others
	}
	// Of two that came at once both get what the first stored, and the count is one too high: the bound need not be exact.
	found, _ := l.requesters.byName.LoadOrStore(name, &quotaOf{limiter: l, slots: l.newQuota()})
	return found.(*quotaOf) //nolint:errcheck,forcetypeassert // as above
}
