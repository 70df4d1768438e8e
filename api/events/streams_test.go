package events

import (
	"net/netip"
	"strings"
	"testing"
)

// openStreams is how many streams are open.
func (h *Hub) openStreams() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

func TestOneReaderMoreEndsTheOldestStream(t *testing.T) {
	h := create(t, Config{Streams: 2})
	server := serve(t, h)
	first, second := open(t, server, ""), open(t, server, "")
	third := open(t, server, "")
	if e, err, ok := first.next(); ok {
		t.Errorf("the first stream goes on: %+v, %v", e, err)
	}
	publish(h, "a")
	second.expect("a")
	third.expect("a")
	open(t, server, first.lastID).expect("a")
	eventually(t, "two streams are open", func() bool { return h.openStreams() == 2 })
}

func TestTheCallerWithMostStreamsGivesOneUp(t *testing.T) {
	h := create(t, Config{Streams: 3})
	greedy, other, third := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::")
	operators, first, second := h.enter(other), h.enter(greedy), h.enter(greedy)
	ended := func(s *stream) bool {
		select {
		case <-s.over:
			return true
		default:
			return false
		}
	}
	h.enter(third)
	if !ended(first) || ended(second) || ended(operators) {
		t.Errorf("ended: the first %t, the second %t, the operator's %t", ended(first), ended(second), ended(operators))
	}
	h.leave(second)
	h.leave(first) // it has ended already
	if got := h.openStreams(); got != 2 {
		t.Errorf("%d are open", got)
	}
}

func TestAStreamIsSentALongHistoryInParts(t *testing.T) {
	h := create(t, Config{})
	for range 10 {
		h.Publish(Event{Details: map[string]any{"text": strings.Repeat("x", maxFrames/4)}})
	}
	at, total := uint64(0), 0
	for at < 10 {
		frames, last, more := h.since(at)
		if len(frames) > maxFrames*3/2 || last <= at {
			t.Fatalf("%d bytes up to %d", len(frames), last)
		}
		select {
		case <-more:
		default:
			if last < 10 {
				t.Fatalf("it waits after %d", last)
			}
		}
		at, total = last, total+1
	}
	if total < 2 {
		t.Error("all came at once")
	}
}
