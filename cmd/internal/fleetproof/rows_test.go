package fleetproof_test

import (
	"regexp"
	"testing"

	"defenseclaw/cmd/internal/testutil"
	"defenseclaw/watcher/fleet/fleettest"
	"defenseclaw/watcher/fleet/record"
)

// The rows of the table of failures in docs/reference/fleet.md, with the built program and a broker that is another process.

// says fails the test if a command did not end with a code, and print what matches.
func says(t *testing.T, r result, code int, pattern string) {
	t.Helper()
	if r.code != code || !regexp.MustCompile(pattern).MatchString(r.out+r.err) {
		t.Fatalf("exit code %d and %q were expected: %s", code, pattern, r)
	}
}

// Three sidecars follow; the broker goes away, comes back with older data, and with none; a sidecar is killed meanwhile.
func TestSidecarsOutliveTheirBroker(t *testing.T) {
	t.Parallel()
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	s := newSite(t, broker.URL())
	first := s.publish("1")
	// The network of the third can swallow. Two follow at once, so that a machine with two processors has time for other tests.
	network := fleettest.StartProxy(t, broker.Address())
	agents := []*sidecar{s.sidecar("a1", ""), s.sidecar("a2", "", "--max-files", "2"), s.sidecar("a3", network.URL()+"/prod")}
	says(t, s.run("fleet", "wait", "--expect", "3"), 0, `^3 of 3 agents serve `+first)
	for _, a := range agents {
		a.serves("1", serving{"current", first})
	}

	// One of them takes no more than two files.
	many := s.policy("2")
	for _, name := range []string{"q", "r"} {
		s.write("policy-2/"+name+".rego", "package "+name)
	}
	says(t, s.run("fleet", "publish", many, "--key", s.key(), "--wait", "--expect", "3"), 3, `a2: limits: `)
	agents[1].serves("1", serving{"current", first})
	second := s.publish("3", "--wait", "--expect", "3")

	// A partition: who is cut off serves, and is named; and takes what it missed.
	network.Swallow()
	third := s.publish("4")
	agents[0].serves("4", serving{"current", third})
	agents[2].serves("3", serving{"current", second})
	says(t, s.run("fleet", "wait", "--expect", "3", "--lost-after", "1s", "--timeout", "30s"), 3, `a3, not heard of for`)
	network.Pass()
	says(t, s.run("fleet", "wait", "--expect", "3"), 0, `^3 of 3 agents serve `+third)

	// The broker goes, and one is killed.
	broker.Stop()
	saved := broker.SaveData()
	agents[0].kill()
	agents[0].start()
	agents[0].serves("4", serving{"restored", third})
	agents[1].serves("4", serving{"current", third})
	says(t, s.run("fleet", "publish", s.policy("5"), "--key", s.key(), "--timeout", "10s"), 6, `no broker answers`)
	broker.Start()
	agents[0].serves("4", serving{"current", third})
	fifth := s.publish("5", "--wait", "--expect", "3")

	// It comes back with what it had before that.
	broker.Kill()
	broker.RestoreData(saved)
	broker.Start()
	if !testutil.Eventually(func() bool {
		r := s.run("fleet", "wait", "--expect", "3", "--timeout", "2s")
		return regexp.MustCompile(`the broker went back; publish again`).MatchString(r.err)
	}) {
		t.Error("nobody says that the broker went back")
	}
	for _, a := range agents {
		a.serves("5", serving{"current", fifth})
	}
	sixth := s.publish("6", "--wait", "--expect", "3")

	// And with nothing at all.
	broker.Kill()
	broker.RestoreData("")
	broker.Start()
	agents[2].serves("6", serving{"current", sixth})
	says(t, s.run("fleet", "publish", s.policy("7"), "--key", s.key()), 1, `fleet init makes it`)
	s.must("fleet", "init")
	seventh := s.publish("7", "--wait", "--expect", "3")
	for _, a := range agents {
		a.serves("7", serving{"current", seventh})
	}
}

// Publishers that race, die, and get no answer.
func TestPublishersGetInEachOthersWay(t *testing.T) {
	t.Parallel()
	broker := fleettest.StartProcess(t, fleettest.ProcessConfig{})
	s := newSite(t, broker.URL())
	s.publish("1")
	network := fleettest.StartProxy(t, broker.Address())
	there := s.url
	behind := network.URL() + "/prod"
	publish := func(x string) []string {
		return []string{"fleet", "publish", s.policy(x), "--key", s.key(), "--by", "publisher of " + x}
	}

	// Two have seen the same record: one wins, and the other names it.
	s.url = behind
	network.When("fleet.v1.obj.", fleettest.Hold)
	_, one := s.start(publish("2")...)
	_, two := s.start(publish("3")...)
	if !testutil.Eventually(func() bool { return network.Reached() == 2 }) {
		t.Fatal("they publish nothing")
	}
	network.Pass()
	won, lost := one(), two()
	x := "2"
	if won.code != 0 {
		won, lost, x = lost, won, "3"
	}
	says(t, won, 0, `^published `)
	says(t, lost, 4, `publisher of `+x+` was first: the channel prod says `+won.revision())

	// One dies when its objects are there, and its record is not.
	network.When("PUB "+record.Subject("prod"), fleettest.Lose)
	dying, died := s.start(publish("4")...)
	if !testutil.Eventually(func() bool { return network.Reached() == 1 }) {
		t.Fatal("it publishes nothing")
	}
	if err := dying.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = died()
	network.Pass()
	s.url = there
	// There is no agent to wait for. If the channel said something else, the exit code would be 4.
	says(t, s.run("fleet", "wait", "--revision", won.revision(), "--timeout", "1s"), 5, `^0 of 0 agents serve `+won.revision())

	// One whose record is taken gets no answer, and sees by itself that it was first.
	s.url = behind
	network.When("PUB "+record.Subject("prod"), fleettest.Cut)
	says(t, s.run(publish("5")...), 0, `^published `)
	if network.Reached() != 1 {
		t.Errorf("%d connections were cut", network.Reached())
	}
	network.Pass()
}
