package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"
	"defenseclaw/watcher"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

const (
	inputSuffix    = ".input.json"
	expectedSuffix = ".expected.json"
)

func isInput(rel string) bool {
	name := path.Base(rel)
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, inputSuffix) || strings.HasSuffix(name, expectedSuffix))
}

// Decision is the policy's answer to one saved input. x.input.json and x.anything.input.json are inputs of
// the policy in x.rego of the same folder, or of all policies of the folder if x.rego does not exist. The
// answer holds the value of each rule, by name. x.expected.json holds the values that the author expects.
type Decision struct {
	Input    string // slash path relative to the directory
	Answer   any
	Err      error
	New      bool     // this is the first answer to the input
	Changed  []string // the difference from the last answer, in lines: "- …" before, "+ …" now
	Expected bool     // x.expected.json exists
	Missed   []string // the difference from the expected answer, in lines: "- …" expected, "+ …" answered
	Printed  []string // what print() wrote, each with its file and line: at most [maxPrinted]

	accept toAccept
}

// OK reports whether there is an answer, and it is the expected one.
func (d Decision) OK() bool { return d.Err == nil && len(d.Missed) == 0 }

// inputs holds the saved inputs of a directory and the last answer to each.
type inputs struct {
	dir     string
	place   func(file string) string // what a file is called where it is printed
	paths   []string
	answers map[string]any
}

// find lists the inputs again if the change may have added or removed some. It reports whether the change
// names an input.
func (in *inputs) find(change watcher.Change) bool {
	if !change.Rescan && in.answers != nil && !slices.ContainsFunc(change.Paths, isInput) {
		return false
	}
	if in.answers == nil {
		in.answers = map[string]any{}
	}
	in.paths = nil
	// Unreadable folders are skipped: the engine reports what is wrong with the directory.
	_ = filepath.WalkDir(in.dir, func(p string, entry fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(in.dir, p)
		if err != nil || relErr != nil {
			return nil //nolint:nilerr // skipped, see above
		}
		if entry.IsDir() && rel != "." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() && isInput(rel) && strings.HasSuffix(rel, inputSuffix) {
			in.paths = append(in.paths, filepath.ToSlash(rel))
		}
		return nil
	})
	maps.DeleteFunc(in.answers, func(p string, _ any) bool { return !slices.Contains(in.paths, p) })
	return slices.ContainsFunc(change.Paths, isInput)
}

// decide evaluates the policy for every input.
func (in *inputs) decide(ctx context.Context, g *engine.Generation) []Decision {
	var all []Decision
	for _, p := range in.paths {
		d := Decision{Input: p}
		before, answered := in.answers[p]
		d.Answer, d.Err = in.answer(d.printing(ctx, in.place), g, p)
		if d.Err == nil {
			d.New = !answered
			if answered {
				d.Changed = difference(before, d.Answer)
			}
			in.answers[p] = d.Answer
			d.Err = in.compare(&d)
		}
		all = append(all, d)
	}
	return all
}

// maxPrinted is how many lines of one decision are shown.
const maxPrinted = 20

func (d *Decision) printing(ctx context.Context, place func(string) string) context.Context {
	return engine.WithPrinter(ctx, func(p engine.Printed) {
		switch {
		case len(d.Printed) < maxPrinted:
			d.Printed = append(d.Printed, fmt.Sprintf("%s:%d: %s", place(p.File), p.Line, p.Text))
		case len(d.Printed) == maxPrinted:
			d.Printed = append(d.Printed, "… and more")
		}
	})
}

func (in *inputs) answer(ctx context.Context, g *engine.Generation, p string) (any, error) {
	value, err := in.read(p)
	if err != nil {
		return nil, err
	}
	input, err := ast.InterfaceToValue(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	answers := map[string]any{}
	for _, file := range policiesOf(g, p) {
		pkg, rules := g.RulesIn(file)
		answer, _ := answers[pkg.String()].(map[string]any)
		if answer == nil {
			answer = map[string]any{}
			answers[pkg.String()] = answer
		}
		for _, rule := range rules {
			value, defined, err := g.Decide(ctx, append(slices.Clone(pkg), rule), input)
			switch {
			case err != nil:
				return nil, err
			case defined:
				answer[rule] = value
			}
		}
	}
	switch len(answers) {
	case 0:
		return nil, fmt.Errorf("%s: its folder has no policy", p)
	case 1:
		for _, answer := range answers {
			return answer, nil
		}
	}
	packages := make(map[string]any, len(answers))
	maps.Copy(packages, answers)
	return packages, nil
}

// policiesOf lists the policy files that an input is for.
func policiesOf(g *engine.Generation, input string) []string {
	dir := path.Dir(input)
	for name := strings.TrimSuffix(path.Base(input), inputSuffix); ; {
		if file := path.Join(dir, name+".rego"); g.Module(file) != nil {
			return []string{file}
		}
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			break
		}
		name = name[:dot]
	}
	var files []string
	for _, f := range g.Files() {
		if path.Dir(f.Path) == dir && g.Module(f.Path) != nil {
			files = append(files, f.Path)
		}
	}
	return files
}

func (in *inputs) read(p string) (any, error) {
	value, _, err := in.readBoth(p)
	return value, err
}

// readBoth reads a JSON file, and returns its text too.
func (in *inputs) readBoth(p string) (value any, text []byte, err error) {
	text, err = os.ReadFile(filepath.Join(in.dir, filepath.FromSlash(p)))
	if err != nil {
		return nil, nil, err
	}
	if err := util.NewJSONDecoder(bytes.NewReader(text)).Decode(&value); err != nil {
		return nil, text, fmt.Errorf("%s: %w", p, err)
	}
	return value, text, nil
}

// compare compares the answer with the expected one, for the rules that the expected one names.
func (in *inputs) compare(d *Decision) error {
	file := expectedOf(d.Input)
	want, text, err := in.readBoth(file)
	if errors.Is(err, fs.ErrNotExist) {
		d.accept = toAccept{file: file, after: expectation(d.Answer)}
		return nil
	}
	d.Expected = true
	if err != nil {
		return err
	}
	answer := d.Answer
	if named, ok := want.(map[string]any); ok {
		all, _ := answer.(map[string]any)
		compared := map[string]any{}
		for name := range named {
			if value, ok := all[name]; ok {
				compared[name] = value
			}
		}
		answer = compared
	}
	d.Missed = difference(want, answer)
	d.accept = toAccept{file: file, before: text, after: expectation(answer)}
	return nil
}

// difference returns how two JSON documents differ, with a line for each value.
func difference(before, now any) []string {
	var lines []string
	differ(before, now, true, true, "", &lines)
	return lines
}

func differ(before, now any, had, has bool, at string, lines *[]string) {
	a, aIs := before.(map[string]any)
	b, bIs := now.(map[string]any)
	if aIs && bIs {
		names := slices.Sorted(maps.Keys(a))
		for name := range b {
			if _, ok := a[name]; !ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			_, inA := a[name]
			_, inB := b[name]
			differ(a[name], b[name], inA, inB, strings.TrimPrefix(at+"."+name, "."), lines)
		}
		return
	}
	if had == has && reflect.DeepEqual(before, now) {
		return
	}
	if at == "" {
		at = "answer"
	}
	if had {
		*lines = append(*lines, "- "+at+": "+compact(before))
	}
	if has {
		*lines = append(*lines, "+ "+at+": "+compact(now))
	}
}

// compact returns v as JSON for a terminal.
func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(terminal.Text(string(text)))
}

// InputsOf lists the saved inputs, as [Decision] has them, that are for the policy in a file. Both are slash paths relative to dir.
func InputsOf(dir string, g *engine.Generation, file string) (found []string) {
	in := inputs{dir: dir}
	in.find(watcher.Change{Rescan: true})
	for _, p := range in.paths {
		if slices.Contains(policiesOf(g, p), file) {
			found = append(found, p)
		}
	}
	return found
}
