package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"defenseclaw/watcher"
	"defenseclaw/watcher/fleet"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// victimVariable makes the test's binary an agent that is killed.
const victimVariable = "FLEET_TEST_VICTIM"

// doomed says how.
type doomed struct {
	Server, Agent, Keys, Dir string
	Step                     int // before which one it is killed
}

// victim runs an agent until it is killed. It returns at once in all other processes.
func victim() {
	text := os.Getenv(victimVariable)
	if text == "" {
		return
	}
	var d doomed
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	step := 0
	live := func(string) {
		if step++; step == d.Step {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
	}
	e := &engine{}
	a, err := fleet.New(fleet.Config{
		Servers: []string{d.Server}, Channel: channel, Agent: d.Agent, Version: "v1", Keys: d.Keys, Dir: d.Dir,
		Revision: fleettest.Revision, Tree: treeOf, Check: e.check,
		Apply: func(ctx context.Context, change watcher.Change) fleet.Outcome {
			live("apply")
			defer live("applied")
			return e.apply(ctx, change)
		},
	})
	if err != nil {
		panic(err)
	}
	e.agent = a
	a.BeforeSteps(live)
	loaded := make(chan struct{})
	close(loaded)
	if err := a.Run(context.Background(), loaded); err != nil {
		panic(err)
	}
}

func TestAnAgentThatIsKilledHasWhatItAcknowledged(t *testing.T) {
	s := newSite(t)
	old := s.publish(files("a.rego", "1", "b.rego", "1"))
	saved := t.TempDir()
	a, _ := s.agent("first", saved, nil)
	stop := s.run(a)
	s.applied("first", old)
	stop()
	next := s.publish(files("a.rego", "2", "c.rego", "2"))

	const most = 50
	for step := 1; ; step++ {
		if step > most {
			t.Fatalf("there are more than %d steps", most)
		}
		dir, agent := t.TempDir(), fmt.Sprintf("v%d", step)
		if err := os.CopyFS(dir, os.DirFS(saved)); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(doomed{s.broker.URL(), agent, s.keys, dir, step})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), victimVariable+"="+string(text)), os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		survived := false
		until(t, "killed, or applied", func() bool {
			select {
			case <-ended:
				return true
			default:
				survived = s.hasApplied(agent, next)
				return survived
			}
		})
		if survived {
			_ = cmd.Process.Kill()
			<-ended
		}
		acked := s.hasApplied(agent, next)

		a, _ := s.agent(agent, dir, nil)
		tree, revision := a.LastGood()
		switch {
		case tree == nil:
			t.Errorf("step %d: nothing is left", step)
		case revisionOf(tree) != revision:
			t.Errorf("step %d: what is left is not whole", step)
		case revision != next.Target.Revision && (acked || revision != old.Target.Revision):
			t.Errorf("step %d: %s is left, and the newer one was acknowledged: %t", step, revision, acked)
		}
		stop := s.run(a)
		s.applied(agent, next)
		stop()
		if survived {
			if step < 8 {
				t.Errorf("there are only %d steps", step-1)
			}
			return
		}
	}
}

func (s *site) hasApplied(agent string, r *record.Record) bool {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), record.Acks)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(s.t.Context(), record.AckSubject(channel, agent))
	if err != nil {
		return false
	}
	var a record.Ack
	return json.Unmarshal(m.Data, &a) == nil && a.Epoch == r.Epoch && a.State == record.Applied
}
