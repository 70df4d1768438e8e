package fleet

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

func TestTheHeartBeatsAndTheRecordIsAskedForAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		r := b.release(setOf("a", "1"), true)
		r.Plan = &record.Plan{Stages: []record.Stage{{Cohort: record.Everybody()}}}
		b.publish(r)
		b.pass(time.Second)
		for _, c := range []struct {
			plan *record.Plan
			most time.Duration
		}{{r.Plan, 11 * time.Second}, {nil, 66 * time.Second}} {
			r.Plan, r.Epoch = c.plan, r.Epoch+1
			b.publish(r)
			b.pass(time.Second)
			b.board.mu.Lock()
			b.board.when, b.board.asked = []time.Time{time.Now()}, map[string][]time.Time{record.Subject("prod"): {time.Now()}}
			b.board.mu.Unlock()
			b.pass(10 * time.Minute)
			b.board.mu.Lock()
			for i, at := range b.board.when[1:] {
				if gap := at.Sub(b.board.when[i]); gap > c.most || gap < c.most/2 {
					t.Errorf("between two acknowledgements there are %s, and %s at most were expected", gap, c.most)
				}
			}
			asked := b.board.asked[record.Subject("prod")]
			for i, at := range asked[1:] {
				if gap := at.Sub(asked[i]); gap > 68*time.Second || gap < 10*time.Millisecond {
					t.Errorf("between two polls there are %s", gap)
				}
			}
			if len(asked) < 8 || len(b.board.when) < 8 {
				t.Errorf("%d polls and %d acknowledgements in ten minutes", len(asked), len(b.board.when))
			}
			b.board.mu.Unlock()
		}
	})
}

func TestOneAcknowledgementIsUnderWayAndTheNewestWins(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.publish(b.release(setOf("a", "0"), true))
		b.pass(time.Second)
		b.board.mu.Lock()
		b.board.slow = 900 * time.Millisecond
		b.board.mu.Unlock()
		var r *record.Record
		for i := range 20 {
			r = b.release(setOf("a", string(rune('a'+i))), true)
			r.Target.Chunks = 1
			b.publish(r)
			b.pass(1100 * time.Millisecond)
		}
		b.pass(20 * time.Second)
		if got := b.board.last(); got.Epoch != r.Epoch || got.State != record.Applied {
			t.Errorf("the last acknowledgement is %+v", got)
		}
		if b.board.most != 1 {
			t.Errorf("%d acknowledgements were under way at once", b.board.most)
		}
		if !slices.IsSortedFunc(b.board.acks, func(x, y record.Ack) int { return int(x.Epoch) - int(y.Epoch) }) {
			t.Error("they are not in order")
		}
	})
}

func TestContactIsMeasuredFromTheRequest(t *testing.T) {
	inBubble(t, func(b *bubble) {
		r := b.release(setOf("a", "1"), true)
		r.Expires = time.Now().Add(time.Hour)
		b.publish(r)
		b.board.mu.Lock()
		b.board.slow = 700 * time.Millisecond
		b.board.mu.Unlock()
		b.pass(10 * time.Minute)
		b.board.mu.Lock()
		asked := b.board.asked[record.Subject("prod")]
		last := asked[len(asked)-1]
		if time.Since(last) < 700*time.Millisecond {
			last = asked[len(asked)-2]
		}
		b.board.mu.Unlock()
		if got := b.agent.Health().Contact; !got.Equal(last) {
			t.Errorf("the last contact is %s, and the request was sent at %s", got, last)
		}

		// What has expired proves nothing, and neither does an older record, nor none.
		b.pass(time.Hour)
		expired := b.agent.Health().Contact
		b.pass(10 * time.Minute)
		if got := b.agent.Health(); !got.Contact.Equal(expired) || got.Error == "" {
			t.Errorf("the contact is %s after %s: %s", got.Contact, expired, got.Error)
		}
		r.Epoch, r.Expires = r.Epoch-1, time.Time{}
		b.publish(r)
		b.pass(10 * time.Minute)
		b.board.mu.Lock()
		delete(b.board.held, record.Subject("prod"))
		b.board.mu.Unlock()
		b.pass(10 * time.Minute)
		if got := b.agent.Health(); !got.Contact.Equal(expired) || got.Records["replay"] == 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhatIsMissingIsLookedForAgainAndThenRefused(t *testing.T) {
	inBubble(t, func(b *bubble) {
		good := b.release(setOf("a", "1"), true)
		b.publish(good)
		b.pass(time.Second)
		r := b.release(setOf("a", "2"), false)
		b.publish(r)
		b.pass(2 * time.Minute)
		if got := b.board.last(); got.State != record.Refused || got.Code != record.CodeMissing || got.Serves != good.Target.Revision {
			t.Errorf("acknowledged %+v", got)
		}
		if n := b.board.times(record.SnapshotSubject(r.Target.Revision, 0)); n != 1+missingTries {
			t.Errorf("it was looked for %d times", n)
		}

		// One that a replica has later is taken.
		late := b.release(setOf("a", "3"), false)
		b.publish(late)
		b.pass(time.Millisecond)
		b.release(setOf("a", "3"), true)
		b.pass(time.Minute)
		if got := b.board.last(); got.State != record.Applied || got.Serves != late.Target.Revision {
			t.Errorf("acknowledged %+v", got)
		}
	})
}

func TestANewerRecordEndsWhatIsDoneAboutTheOneBefore(t *testing.T) {
	inBubble(t, func(b *bubble) {
		good := b.release(setOf("a", "1"), true)
		b.publish(good)
		b.pass(time.Second)
		b.board.mu.Lock()
		b.board.broken = errors.New("the network is down")
		b.board.mu.Unlock()
		stuck := b.release(setOf("a", "2"), true)
		b.publish(stuck)
		b.pass(5 * time.Minute)
		if got := b.board.last(); got.State != record.Waiting || got.Epoch != stuck.Epoch || got.Serves != good.Target.Revision {
			t.Errorf("acknowledged %+v", got)
		}
		back := *good
		back.Epoch = stuck.Epoch + 1
		b.publish(&back)
		b.pass(time.Second)
		if got := b.board.last(); got.State != record.Applied || got.Epoch != back.Epoch {
			t.Errorf("acknowledged %+v", got)
		}
	})
}

func TestKeysAreReadAgainWhenTheyChange(t *testing.T) {
	inBubble(t, func(b *bubble) {
		first := b.release(setOf("a", "1"), true)
		b.publish(first)
		b.pass(time.Second)
		was, _ := os.ReadFile(b.keys)
		other, line := fleettest.Key(t, "next", record.RoleRelease)
		b.signer = other
		second := b.release(setOf("a", "2"), true)
		b.publish(second)
		b.pass(time.Minute)
		if got := b.board.last(); got.State != record.Refused || got.Code != record.CodeSignature || got.Serves != first.Target.Revision || got.Epoch != first.Epoch {
			t.Errorf("acknowledged %+v", got)
		}
		b.trust("this is no file of keys") // which changes nothing
		b.pass(time.Minute)
		if got := b.board.last(); len(got.Keys) != 1 {
			t.Errorf("acknowledged %+v", got)
		}
		b.trust(string(was) + line)
		b.pass(10 * time.Second)
		if got := b.board.last(); got.State != record.Applied || got.Epoch != second.Epoch || len(got.Keys) != 2 {
			t.Errorf("acknowledged %+v", got)
		}
	})
}

func TestManyAgentsFetchAtDifferentTimes(t *testing.T) {
	inBubble(t, func(b *bubble) {
		r := b.release(setOf("a", "1"), true)
		r.Agents = 20_000
		began := time.Now()
		b.publish(r)
		b.pass(11 * time.Second)
		b.board.mu.Lock()
		at := b.board.asked[record.SnapshotSubject(r.Target.Revision, 0)]
		b.board.mu.Unlock()
		if len(at) != 1 || at[0].Sub(began) > 10*time.Second || at[0].Equal(began) {
			t.Errorf("it was fetched at %v, and the record came at %s", at, began)
		}
	})
}

func TestWhatWasPreparedOrServedIsNotFetchedAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		good := b.release(setOf("a", "1"), true)
		b.publish(good)
		b.pass(time.Second)
		next := b.release(setOf("a", "2"), true)
		next.State = record.Prepare
		b.publish(next)
		b.pass(time.Second)
		if got := b.board.last(); got.State != record.Ready || got.Serves != good.Target.Revision {
			t.Errorf("acknowledged %+v", got)
		}
		fetched := b.board.times(record.SnapshotSubject(next.Target.Revision, 0))
		for _, state := range []record.State{record.Active, record.Prepare, record.Active} {
			next.State, next.Epoch = state, next.Epoch+1
			b.publish(next)
			b.pass(time.Second)
		}
		if got := b.board.last(); got.State != record.Applied || got.Serves != next.Target.Revision {
			t.Errorf("acknowledged %+v", got)
		}
		if n := b.board.times(record.SnapshotSubject(next.Target.Revision, 0)) - fetched; n != 0 {
			t.Errorf("it was fetched %d times more", n)
		}
	})
}
