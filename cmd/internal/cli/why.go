package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/explain"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/engine/history"

	"github.com/urfave/cli/v2"
)

func whyCommand() *cli.Command {
	return &cli.Command{
		Name: "why", ArgsUsage: "DECISION_ID", OnUsageError: usageError2, Action: why,
		Usage: "make a decision of the decision log again, under the policy that made it, and say which rules fired and which conditions failed",
		Flags: append(settingFlags("policy-dir", "data-dir", "decision-log-file"),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"}),
	}
}

// whyAnswer is a decision, and how it comes out now under the policy that made it.
type whyAnswer struct {
	DecisionID string            `json:"decision_id"`
	DecidedAt  time.Time         `json:"decided_at"`
	By         *api.HistoryEntry `json:"by"` // the policy
	Recorded   any               `json:"recorded,omitempty"`
	Same       bool              `json:"same"`             // it comes out as recorded
	Masked     []string          `json:"masked,omitempty"` // of the input, as JSON pointers: conditions on it may have come out otherwise
	explain.Answer
}

func why(c *cli.Context) error {
	if c.NArg() != 1 {
		return could(errors.New("expected one argument after the flags: the identifier of a decision"))
	}
	s, err := resolve(c)
	if err != nil {
		return could(err)
	}
	if s.Decisions.File == "" {
		return could(errors.New("no decision log is kept in a file: --decision-log-file, or decision_logs.file of config.yaml, names it"))
	}
	e, err := explain.FindEvent(s.Decisions.File, c.Args().First())
	if errors.Is(err, explain.ErrNoEvent) {
		return &exitError{exitNothing, err}
	}
	if err != nil {
		return could(err)
	}
	path, err := e.Decidable()
	if err != nil {
		return could(err)
	}
	store, err := localPast(c)
	if err != nil {
		return could(err)
	}
	r, g, err := generationOfRevision(c.Context, store, e)
	if err != nil {
		return could(err)
	}
	masked := e.MaskedInput()
	if slices.Contains(masked, "/input") {
		return could(masks(e, masked))
	}
	answer, err := explain.Evaluate(c.Context, g, path, e.Input, explain.Options{Explain: true, At: e.Timestamp})
	if err != nil {
		return could(err)
	}
	by := api.HistoryOf([]history.Record{r})[0]
	result := whyAnswer{DecisionID: e.DecisionID, DecidedAt: e.Timestamp, By: &by, Masked: masked, Answer: answer}
	if result.Same, err = sameResult(e, answer, &result.Recorded); err != nil {
		return could(err)
	}
	if !result.Same && len(masked) > 0 {
		return could(masks(e, masked))
	}
	if c.Bool("json") {
		return report.JSON(c.App.Writer, result)
	}
	return result.write(c.App.Writer)
}

// masks says that what the log masks makes it impossible to tell why.
func masks(e explain.Event, masked []string) error {
	return fmt.Errorf("decision %s cannot be made again: the log masks %s, and what it was decides", e.DecisionID, strings.Join(masked, ", "))
}

// generationOfRevision loads the policy that decided, out of the history.
func generationOfRevision(ctx context.Context, store *history.Store, e explain.Event) (history.Record, *engine.Generation, error) {
	revision := e.Revision()
	if revision == "" {
		return history.Record{}, nil, fmt.Errorf("decision %s cannot be made again: its event names no revision", e.DecisionID)
	}
	kept, err := store.Find(revision)
	if err != nil {
		return kept, nil, &exitError{exitCould, fmt.Errorf("decision %s cannot be made again: it was made by %s: %w", e.DecisionID, revision, err)}
	}
	g, err := generationAt(ctx, store, kept)
	if err != nil {
		return kept, nil, fmt.Errorf("decision %s cannot be made again: %w", e.DecisionID, err)
	}
	records, err := store.Records()
	if err != nil {
		return kept, nil, err
	}
	for _, r := range records { // the same revision may have served several times
		if r.Revision == revision && !r.ServedFrom.After(e.Timestamp) && (r.ServedUntil.IsZero() || r.ServedUntil.After(e.Timestamp)) {
			return r, g, nil
		}
	}
	return kept, g, nil
}

func generationAt(ctx context.Context, store *history.Store, r history.Record) (*engine.Generation, error) {
	found, err := store.Open(ctx, r)
	if err != nil {
		return nil, err
	}
	g, err := engine.Load(ctx, found.FS, nil)
	if err != nil {
		return nil, fmt.Errorf("generation %d of the history: %w", r.Seq, err)
	}
	return g, nil
}

// sameResult compares what is on record with what comes out now.
func sameResult(e explain.Event, now explain.Answer, recorded *any) (bool, error) {
	if len(e.Result) == 0 {
		return !now.Defined, nil
	}
	if err := json.Unmarshal(e.Result, recorded); err != nil {
		return false, fmt.Errorf("decision %s: its result: %w", e.DecisionID, err)
	}
	text, err := json.Marshal(now.Result)
	if err != nil {
		return false, err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return false, err
	}
	return now.Defined && reflect.DeepEqual(plain, *recorded), nil
}

func (a whyAnswer) write(w io.Writer) error {
	terminal.Fprintf(w, "decision %s of %s, made by number %d of the history, %s\n", a.DecisionID,
		a.DecidedAt.Local().Format(time.DateTime), a.By.Seq, a.By.Revision)
	if !a.Same {
		recorded, err := json.Marshal(a.Recorded)
		if err != nil {
			return err
		}
		terminal.Fprintf(w, "on record is another result, %s: masked, or made with what is beside the policy, such as lists\n", recorded)
	}
	if len(a.Masked) > 0 {
		terminal.Fprintf(w, "the log masks %s: without it the decision is the one on record, and conditions on it may have come out otherwise\n",
			strings.Join(a.Masked, ", "))
	}
	fmt.Fprintln(w)
	return a.Write(w)
}
