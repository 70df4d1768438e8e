package observe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/observe"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/delta"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	fleettest.Main()
	goleak.VerifyTestMain(m)
}

// site is a broker, the channel prod, and an observer of it that runs.
type site struct {
	t        testing.TB
	process  *fleettest.Process
	js       jetstream.JetStream
	channel  *fleettest.Channel
	keys     *record.Keys
	observer *observe.Observer
	file     string // of keys
	end      func()

	mu   sync.Mutex
	told []string
}

func open(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, process: fleettest.StartProcess(t, fleettest.ProcessConfig{}), file: filepath.Join(t.TempDir(), "keys")}
	nc := s.process.Connect()
	s.js = fleettest.JetStream(t, nc)
	s.channel, s.keys = fleettest.NewChannel(t, nc, "prod")
	signer, line := fleettest.Key(t, "seen", record.RoleRelease)
	keys, err := record.ParseKeys([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	s.channel.Signers, s.keys = append(s.channel.Signers[:0:0], signer), keys
	if err := os.WriteFile(s.file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s.observer, err = observe.New(observe.Config{Link: fleet.Config{URL: s.process.URL()}, Channel: "prod", Keys: s.file, Told: s.tell})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.observer.Run(ctx) }()
	s.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { s.end() })
	return s
}

func (s *site) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprint(err))
}

func (s *site) look() (*observe.Seen, []observe.Minute) {
	s.t.Helper()
	seen, hour, err := s.observer.Look(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return seen, hour
}

// see looks until something is so.
func (s *site) see(what string, is func(*observe.Seen) bool) *observe.Seen {
	s.t.Helper()
	var seen *observe.Seen
	if !testutil.Eventually(func() bool { seen, _ = s.look(); return is(seen) }) {
		s.t.Fatalf("never seen: %s; last: %+v", what, seen)
	}
	return seen
}

func (s *site) publish(what string, change func(*record.Record)) *record.Record {
	s.t.Helper()
	set := delta.NewSet(maps.All(map[string][]byte{"p.rego": []byte("package p\nx := \"" + what + "\"\n")}))
	r, err := s.channel.Publish(s.t.Context(), set, change)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) say(ack record.Ack) {
	s.t.Helper()
	ack.Channel, ack.Instance, ack.Sent = "prod", "1", time.Now()
	text, err := json.Marshal(ack)
	if err == nil {
		_, err = s.js.Publish(s.t.Context(), record.AckSubject("prod", ack.Agent), text)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestAnObserverSeesAgentsMove(t *testing.T) {
	t.Parallel()
	s := open(t)
	seen := s.see("the broker", func(seen *observe.Seen) bool { return seen.Err == nil })
	if seen.Status.Problem != "the channel has no release" || seen.Status.Agents != 0 || seen.At.IsZero() {
		t.Errorf("before anything: %+v", seen)
	}
	crowd := fleettest.NewCrowd(5, "prod", s.keys)
	crowd.Run(t, s.process.URL())
	first := s.publish("one", nil)
	s.see("all serve the first", func(seen *observe.Seen) bool { return seen.Status.Converged && seen.Status.Agents == 5 })

	plan, err := rollout.Parse("40%,100%", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	rollout.SetSalt(plan, "seen")
	second := s.publish("two", func(r *record.Record) {
		if err := rollout.Begin(r, plan, false, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
	})
	inCohort := 0
	for i := range 5 {
		if second.Cohort.Holds(fleettest.Name(i), nil) {
			inCohort++
		}
	}
	seen = s.see("the cohort serves the second", func(seen *observe.Seen) bool {
		return seen.Rollout != nil && seen.Rollout.Tally.Done == inCohort && seen.Status.Converged
	})
	if len(seen.Stages) != 2 || seen.Stages[0].State != rollout.StageNow || len(seen.Rollout.Gates) == 0 || !seen.Rollout.Away {
		t.Errorf("the rollout: %+v, %+v", seen.Stages, seen.Rollout)
	}
	_, hour := s.look()
	now := hour[len(hour)-1]
	by := map[string]int{}
	for _, one := range now.Serve {
		by[one.Revision] = one.Agents
	}
	if !now.Known || by[first.Target.Revision] != 5-inCohort || by[second.Target.Revision] != inCohort {
		t.Errorf("%d of 5 are in the cohort, and the minute is %+v", inCohort, now)
	}
}

// A broker that goes away leaves what was seen last, with the reason; when it is back, so is the observer.
func TestAnObserverTellsThatTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := s.publish("one", nil)
	s.say(record.Ack{Agent: "a", Epoch: r.Epoch, Serves: r.Target.Revision, Wanted: r.Target.Revision, State: record.Applied})
	before := s.see("the agent", func(seen *observe.Seen) bool { return seen.Status.Converged })
	s.process.Stop()
	away := s.see("that the broker is away", func(seen *observe.Seen) bool { return seen.Err != nil })
	if away.At.Before(before.At) || len(away.Agents) != 1 || away.Status.Record == nil {
		t.Errorf("what was seen last is not told: %+v", away)
	}
	s.process.Start()
	back := s.see("that the broker is back", func(seen *observe.Seen) bool { return seen.Err == nil })
	if !back.At.After(away.At) {
		t.Errorf("it is still of %s", back.At)
	}

	// So is what nobody trusts, and a file that is no file of keys.
	_, other := fleettest.Key(t, "other", record.RoleRelease)
	for text, want := range map[string]func(*observe.Seen) bool{
		other:      func(seen *observe.Seen) bool { return strings.Contains(seen.Status.Problem, "not trusted") },
		"nonsense": func(seen *observe.Seen) bool { return seen.Err != nil && strings.Contains(seen.Err.Error(), s.file) },
	} {
		if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.see(text, want)
	}
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, text := range s.told {
		if i > 0 && text == s.told[i-1] {
			t.Errorf("told twice: %s", text)
		}
	}
	if len(s.told) < 3 {
		t.Errorf("told: %q", s.told)
	}
}

func TestALookEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.see("the broker", func(seen *observe.Seen) bool { return seen.Err == nil })
	s.end() // nobody answers any more
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.observer.Look(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if seen, _ := s.look(); seen.At.IsZero() {
		t.Errorf("what was seen last is lost: %+v", seen)
	}
}

func TestWhatCannotBeObserved(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	for want, cfg := range map[string]observe.Config{
		"the channel is":          {Channel: "a b", Keys: keys},
		"the keys of the channel": {Channel: "prod", Keys: keys},
	} {
		if _, err := observe.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
