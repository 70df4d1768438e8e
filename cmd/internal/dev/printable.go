package dev

import (
	"errors"
	"slices"

	"defenseclaw/cmd/internal/terminal"
)

// printable returns r with its text cleaned for a terminal: [Screen] colours it, so that no writer after it could tell
// escape sequences of others from its own. report.Write cleans the problems, and compact the answers. It shares nothing that
// it cleans with r: a round that is reported again is still on the screen, which another goroutine draws.
func printable(r Round) Round {
	r.Changed = each(r.Changed, terminal.Line)
	r.Err = oneLine(r.Err)
	r.Failing = slices.Clone(r.Failing)
	for i := range r.Failing {
		f := &r.Failing[i]
		f.Name, f.File, f.Output = line(f.Name), line(f.File), string(terminal.Text(f.Output))
		f.Why, f.Rules = each(f.Why, terminal.Text), each(f.Rules, terminal.Line)
	}
	r.Lines = slices.Clone(r.Lines)
	for i := range r.Lines {
		r.Lines[i].File = line(r.Lines[i].File)
	}
	r.Decisions = slices.Clone(r.Decisions)
	for i := range r.Decisions {
		d := &r.Decisions[i]
		d.Input, d.Err = line(d.Input), oneLine(d.Err)
		d.Printed = each(d.Printed, terminal.Line)
		d.Changed, d.Missed = each(d.Changed, terminal.Text), each(d.Missed, terminal.Text)
	}
	r.Searched, r.SearchErr = line(r.Searched), oneLine(r.SearchErr)
	r.Found = slices.Clone(r.Found)
	for i := range r.Found {
		f := &r.Found[i]
		f.Path, f.Kind, f.Input, f.Changed = line(f.Path), line(f.Kind), line(f.Input), each(f.Changed, terminal.Line)
	}
	return r
}

func line(s string) string { return string(terminal.Line(s)) }

func oneLine(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(string(terminal.Error(err)))
}

func each(texts []string, clean func(string) terminal.Clean) []string {
	if texts == nil {
		return nil
	}
	shown := make([]string, len(texts))
	for i, s := range texts {
		shown[i] = string(clean(s))
	}
	return shown
}
