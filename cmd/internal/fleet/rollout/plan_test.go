package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/watcher/fleet/record"
)

func describe(p *record.Plan) string {
	var parts []string
	for _, s := range p.Stages {
		text := rollout.Describe(s.Cohort)
		if s.Soak > 0 {
			text += "@" + s.Soak.String()
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

func TestPlans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"100%":                         "100%",
		"1%,10%,50%,100%":              "1%,10%,50%,100%",
		"0.5%, 100%":                   "0.5%,100%",
		"ring=canary,10%@1m,100%":      "ring=canary,10%@1m0s,100%",
		"10%+zone=b+ring=canary,100%":  "10%+ring=canary+zone=b,100%",
		"ring=canary+10%,ring=x,100%":  "10%+ring=canary,ring=x,100%",
		"":                             `the stage "": a percentage`,
		"10%":                          "ends at 10%: the last stage has to be 100%",
		"ring=canary":                  "the last stage has to be 100%",
		"50%,10%,100%":                 "the stage 10% adds no agent to 50%",
		"100%,ring=canary,100%":        "the stage ring=canary adds no agent to 100%",
		"0%,100%":                      "a percentage above 0",
		"101%":                         "a percentage above 0",
		"NaN%":                         "a percentage above 0",
		"ten,100%":                     `the stage "ten"`,
		"=x,100%":                      `the stage "=x"`,
		"1%@soon,100%":                 "a time like 30s",
		"1%@-1s,100%":                  "a time like 30s",
		strings.Repeat("a=b,", 3):      "adds no agent",
		manyStages(60) + "100%":        "at most 50",
		"ring=canary,ring=canary,100%": "adds no agent",
	} {
		p, err := rollout.Parse(text, time.Minute)
		got := fmt.Sprint(err)
		if err == nil {
			got = describe(p)
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%.60q gives %q, and %q was expected", text, got, want)
		}
	}
	if got := describe(rollout.Default()); got != "1%,10%,50%,100%" {
		t.Error(got)
	}
	if p := rollout.Emergency(); describe(p) != "1%,100%" || p.Soak != 30*time.Second {
		t.Error(describe(p), p.Soak)
	}
}

func manyStages(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "zone=%d,", i)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add("1%,10%@2m,ring=canary+5%,100%")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := rollout.Parse(text, time.Minute)
		if err != nil {
			return
		}
		again, err := rollout.Parse(describe(p), time.Minute)
		if err != nil || describe(again) != describe(p) {
			t.Errorf("%q is %q, and that is %v", text, describe(p), err)
		}
	})
}

func TestSelect(t *testing.T) {
	t.Parallel()
	p, err := rollout.Parse("zone=a,10%,100%", 0)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := rollout.ParseLabels("ring=canary, cloud=x")
	if err != nil {
		t.Fatal(err)
	}
	if err := rollout.Select(p, nil); err != nil || describe(p) != "zone=a,10%,100%" {
		t.Fatal(describe(p), err)
	}
	if err := rollout.Select(p, labels); err != nil {
		t.Fatal(err)
	}
	if got := describe(p); got != "cloud=x+ring=canary+zone=a,10%+cloud=x+ring=canary,cloud=x+ring=canary" {
		t.Error(got)
	}
	if err := rollout.Select(p, map[string]string{"zone": "b"}); err == nil || !strings.Contains(err.Error(), "for no agent of the selector zone=b") {
		t.Error(err)
	}
	for _, wrong := range []string{"", "ring", "=a", "ring=", "ring=a,,"} {
		if _, err := rollout.ParseLabels(wrong); err == nil {
			t.Errorf("%q is a selector", wrong)
		}
	}
}

// A percentage of few agents is one at least, and of many about as many as it says.
func TestTheFirstStageHasAgents(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		stage            string
		agents, min, max int
	}{
		{"1%", 3, 1, 1}, {"1%", 21, 1, 1}, {"1%", 200, 1, 3}, {"10%", 1000, 88, 112}, {"1%", 10_000, 88, 112}, {"50%+ring=canary", 100, 2, 3},
	} {
		p, err := rollout.Parse(try.stage+",100%", 0)
		if err != nil {
			t.Fatal(err)
		}
		var agents []rollout.Agent
		for i := range try.agents {
			a := rollout.Agent{Ack: record.Ack{Agent: fmt.Sprint("agent-", i)}, Heard: now}
			if i < 5 {
				a.Labels = map[string]string{"ring": "canary"}
			}
			agents = append(agents, a)
		}
		dead := rollout.Agent{Ack: record.Ack{Agent: "dead"}, Heard: now.Add(-time.Hour)}
		rollout.Salt(p, append(agents, dead), now)
		in := 0
		for _, a := range agents {
			if p.Stages[0].Cohort.Holds(a.Agent, a.Labels) {
				in++
			}
		}
		if in < try.min || in > try.max {
			t.Errorf("%s of %d agents are %d", try.stage, try.agents, in)
		}
	}
	p := rollout.Default()
	rollout.Salt(p, nil, now)
	if p.Stages[0].Cohort.Salt == "" {
		t.Error("without agents there is no salt")
	}
}
