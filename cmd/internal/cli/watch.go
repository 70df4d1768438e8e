package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"defenseclaw/api"
	"defenseclaw/api/events"
	"defenseclaw/cmd/internal/report"
	"defenseclaw/cmd/internal/terminal"

	"github.com/urfave/cli/v2"
)

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "tell what happens to the policy of the running sidecar as it happens, a line for each event, until it is interrupted",
		Flags: append(clientFlags(), &cli.BoolFlag{Name: "json", Usage: "print the events as lines of JSON"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return watchEvents(c)
		},
		OnUsageError: usageError,
	}
}

// watchEvents follows GET /policy/events. It goes on where it was after the sidecar was away.
func watchEvents(c *cli.Context) error {
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	running, err := client(c)
	if err != nil {
		return err
	}
	w := &eventWriter{w: c.App.Writer, json: c.Bool("json")}
	lost := outage{w: c.App.ErrWriter}
	began := false
	for {
		err := running.Events(ctx, w.last, func() {
			lost.ended()
			switch {
			case began:
			case w.json:
				terminal.Fprintf(c.App.ErrWriter, "following the events of the sidecar\n")
			default:
				serves(c.App.Writer, running, c)
			}
			began = true
		}, w.write)
		refused := new(api.AnswerError)
		switch {
		case ctx.Err() != nil:
			return nil
		case w.failed != nil:
			return w.failed
		case !began, errors.As(err, &refused) && refused.StatusCode/100 == 4: // it will not get better by itself
			return err
		case err == nil:
			err = errors.New("the sidecar ended the stream of events")
		}
		lost.began(err)
		if !pause(ctx, time.Second) {
			return nil
		}
		if again, err := client(c); err == nil {
			running = again // a sidecar that was started again may have another address
		}
	}
}

// serves says what serves when the watch begins.
func serves(w io.Writer, running *api.Client, c *cli.Context) {
	if now, err := running.Status(c.Context); err == nil {
		terminal.Fprintf(w, "%s  %-14s generation %d, %s\n", time.Now().Format(time.TimeOnly), now.State, now.Generation, shortRevision(now.Revision))
	}
}

// eventWriter prints events.
type eventWriter struct {
	w      io.Writer
	json   bool
	last   string // the id after which to go on
	failed error  // to write
}

func (e *eventWriter) write(event api.StreamEvent) error {
	e.last = event.ID
	if len(event.Data) == 0 {
		return nil
	}
	switch {
	case e.json:
		_, e.failed = fmt.Fprintf(e.w, "%s\n", event.Data)
	case event.Name == "gap":
		_, e.failed = terminal.Fprintf(e.w, "%s  %-14s %s\n", time.Now().Format(time.TimeOnly), "gap", gapText(event.Data))
	default:
		var what events.Event
		if err := json.Unmarshal(event.Data, &what); err != nil {
			return nil //nolint:nilerr // of a newer version, in which events are something else
		}
		_, e.failed = terminal.Fprintf(e.w, "%s  %-14s %s\n", what.Time.Local().Format(time.TimeOnly), eventName(what), eventText(what))
	}
	return e.failed
}

// gapText says that events are missing, and where to look.
func gapText(data []byte) string {
	var gap struct {
		Reason string `json:"reason"`
		Missed int    `json:"missed"`
	}
	_ = json.Unmarshal(data, &gap) // as far as it can be read
	if gap.Reason == "restarted" {
		return "the sidecar was started again; what serves says policy status"
	}
	return fmt.Sprintf("%d events are no longer kept; what serves says policy status", gap.Missed)
}

// eventName is the transition, with the subsystem where that is not the policy.
func eventName(e events.Event) string {
	if e.Subsystem == "policy" {
		return e.Transition
	}
	return e.Subsystem + "-" + e.Transition
}

// eventText says in a line what an event is about.
func eventText(e events.Event) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	text := func(name string) string { s, _ := e.Details[name].(string); return s }
	if n, ok := e.Details["generation"].(float64); ok {
		add("generation %.0f", n)
	}
	if r := text("revision"); r != "" {
		add("%s", shortRevision(r))
	}
	list := func(name string) (all []string) {
		values, _ := e.Details[name].([]any)
		for _, v := range values {
			if s, ok := v.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	if edit := api.EditText(list("changed"), list("added_files"), list("removed_files")); edit != "" {
		add("%s", edit)
	}
	if err := text("error"); err != "" {
		add("%s", report.FirstLine(err))
	}
	for _, name := range []string{"reason", "message", "refused", "url", "state"} {
		if s := text(name); s != "" {
			add("%s", report.FirstLine(s))
		}
	}
	if actor := text("actor"); actor != "" {
		add("by %s", actor)
	}
	if ms, ok := e.Details["duration_ms"].(float64); ok {
		add("in %.1f ms", ms)
	}
	return strings.Join(slices.Compact(parts), ", ")
}
