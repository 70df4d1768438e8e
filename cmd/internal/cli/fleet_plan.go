package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/controller"
	"defenseclaw/cmd/internal/fleet/rollout"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/watcher/fleet/record"

	"github.com/urfave/cli/v2"
)

// planFlags say in which stages a release is rolled out.
func planFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "plan", Usage: "in these `STAGES`, with commas between them: a percentage (10%), labels (ring=canary) or both (10%+ring=canary), with a soak of its own " +
			"after @ (1%@30s); the last is 100% (default: 1%,10%,50%,100% where there are " + strconv.Itoa(rollout.Many) + " agents or more, else all at once)"},
		&cli.DurationFlag{Name: "soak", Value: rollout.DefaultSoak, Usage: "each stage has to go well for `DURATION`"},
		&cli.BoolFlag{Name: "emergency", Usage: "in a hurry: 1% for 30 seconds, then all; the same way, with the same gates"},
		&cli.BoolFlag{Name: "prepare", Usage: "first have all agents load and check the release, and take it back if one refuses it"},
		&cli.StringFlag{Name: "max-flips", Usage: "take it back if more than this `SHARE` of replayed decisions flip, as 0.5% (default: any may)"},
		&cli.IntFlag{Name: "min-decisions", Value: rollout.DefaultMinDecisions, Usage: "a stage needs `N` decisions to be judged by; with fewer it waits for fleet promote"},
		&cli.StringFlag{Name: "salt", Usage: "begin with the agents that `TEXT` selects: the same text selects the same agents (default: a random one)"},
	}
}

// planAsked is what the flags say of a plan.
type planAsked struct {
	plan     *record.Plan // nil: none
	stages   bool         // they were asked for
	prepare  bool
	accepted bool // what the release takes away is meant to be gone
	selector map[string]string
}

// readPlan reads the flags, before anything is sent.
func readPlan(c *cli.Context) (asked planAsked, err error) {
	selector, err := labelsOf("--selector", c.String("selector"))
	if err != nil {
		return asked, err
	}
	asked = planAsked{stages: c.String("plan") != "" || c.Bool("emergency"), prepare: c.Bool("prepare"), selector: selector}
	switch text := c.String("plan"); {
	case text != "" && c.Bool("emergency"):
		err = errors.New("--plan and --emergency exclude each other")
	case c.Bool("emergency") && c.IsSet("soak"):
		err = errors.New("--soak and --emergency exclude each other")
	case text != "":
		if asked.plan, err = rollout.Parse(text, c.Duration("soak")); err != nil {
			err = fmt.Errorf("--plan: %w", err)
		}
	case c.Bool("emergency"):
		asked.plan = rollout.Emergency()
	case asked.prepare:
		asked.plan, err = rollout.Parse("100%", c.Duration("soak"))
	}
	if err == nil {
		err = asked.gates(c)
	}
	if err != nil {
		return asked, &exitError{exitUsage, err}
	}
	return asked, nil
}

// orDefault takes the default plan where there are many agents and no stages were asked for.
func (a *planAsked) orDefault(c *cli.Context, agents int) error {
	if a.stages || agents < rollout.Many {
		return nil
	}
	a.plan = rollout.Default()
	a.plan.Soak = c.Duration("soak")
	return a.gates(c)
}

// gates puts the rest of the flags into the plan.
func (a *planAsked) gates(c *cli.Context) error {
	if a.plan == nil {
		return nil
	}
	if text := c.String("max-flips"); text != "" {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil || !(percent >= 0 && percent <= 100) || !strings.HasSuffix(text, "%") {
			return fmt.Errorf("--max-flips is %q: a percentage like 0.5%% was expected", text)
		}
		a.plan.MaxFlips = percent / 100
	}
	switch n := c.Int("min-decisions"); {
	case n < 0:
		return fmt.Errorf("--min-decisions is %d: 0 or more was expected", n)
	case n == 0:
		a.plan.MinDecisions = -1
	default:
		a.plan.MinDecisions = n
	}
	if c.String("salt") != "" {
		rollout.SetSalt(a.plan, c.String("salt"))
	}
	return rollout.Select(a.plan, a.selector)
}

// counting is how many agents have the labels.
func counting(v *fleet.View, selector map[string]string) (n int) {
	for _, a := range v.Agents() {
		if fleet.Selects(selector, a.Labels) {
			n++
		}
	}
	return n
}

// shape makes a record what was asked for.
func (a *planAsked) shape(r *record.Record, v *fleet.View) error {
	if a.plan == nil {
		r.Cohort.Labels = a.selector
		return nil
	}
	return rollout.Begin(r, a.plan, a.prepare, controller.Agents(v), v.Now())
}

// sayPlan says how a release that was published goes on.
func sayPlan(ctx context.Context, c *cli.Context, l *fleet.Link, a planAsked, r *record.Record) {
	if r.Plan == nil {
		if a.plan != nil {
			terminal.Fprintf(c.App.ErrWriter, "the first release of a channel is for everybody at once: there is none to go back to\n")
		}
		return
	}
	var stages []string
	for _, stage := range r.Plan.Stages {
		stages = append(stages, rollout.Describe(stage.Cohort))
	}
	terminal.Fprintf(c.App.Writer, "%s: at %s of %s\n", r.Channel, rollout.StageName(r), strings.Join(stages, ", "))
	if c.Bool("wait") || c.Bool("dry-run") {
		return
	}
	if mark, err := controller.Last(ctx, l, r.Channel); err == nil && mark.Away() {
		terminal.Fprintf(c.App.ErrWriter, "no controller runs, so the rollout stays there: fleet controller, --wait or fleet promote moves it on\n")
	}
}

// patience is how long a rollout may take until --wait gives up, where --timeout does not say.
func patience(p *record.Plan) time.Duration {
	const stage = 5 * time.Minute // for agents that are slow, and people who promote
	sum := stage
	for _, s := range p.Stages {
		sum += stage + max(s.Soak, p.Soak)
	}
	return sum
}

// followPlan moves a rollout on until it has ended or was taken back, whoever else does as well.
func followPlan(c *cli.Context, l *fleet.Link, of fleet.Now, keys *record.Keys, by *fleet.Signers) error {
	limit := c.Duration("timeout")
	if !c.IsSet("timeout") {
		limit = patience(of.Record().Plan)
	}
	ctx, cancel := within(c, limit)
	defer cancel()
	w := &planWait{c: c, of: of.Record(), tell: newNarrator(c)}
	err := controller.Run(ctx, l, controller.Config{
		Channel: of.Channel, Keys: keys, Signers: by.Note(), Name: author(c), Tell: w.look,
	})
	switch {
	case errors.As(err, new(*fleet.Timeout)) && w.last.Reason != "":
		return &exitError{exitTime, fmt.Errorf("time ran out at %s: %s", w.last.Stage, w.last.Reason)}
	case err != nil:
		return err
	default:
		return w.end
	}
}

// planWait waits for the end of one rollout.
type planWait struct {
	c    *cli.Context
	of   *record.Record
	tell *narrator
	last rollout.Verdict
	end  error
}

// look reports whether nothing more will come of the rollout. One that was taken back has ended when the agents are back.
func (w *planWait) look(seen controller.Seen) bool {
	r := seen.Now.Record()
	if seen.Err != nil || r == nil {
		w.tell.tell(seen)
		return false
	}
	if !rollout.Same(r, w.of) {
		w.end = &fleet.Beaten{Now: seen.Now}
		return true
	}
	w.last = seen.Verdict
	if r.Plan.Runs() || seen.Moved {
		w.tell.tell(seen)
	}
	if r.Plan.Runs() || seen.View == nil {
		return false
	}
	found := fleet.Judge(seen.View, fleet.Question{Record: r, LostAfter: w.c.Duration("lost-after")})
	if len(found.Agents) > 0 && !found.Settled(0) {
		return false
	}
	sayStandings(w.c, found)
	if r.Plan.Halted != "" {
		terminal.Fprintf(w.c.App.Writer, "halted %s; taken back: %d of %d agents serve what they did before\n",
			r.Plan.Halted, found.Counts[fleet.Serves], len(found.Agents))
		w.end = &exitError{code: exitNot}
		return true
	}
	terminal.Fprintf(w.c.App.Writer, "%s\n", found)
	if !found.Converged(w.c.Int("expect")) {
		w.end = &exitError{code: exitNot}
	}
	return true
}
