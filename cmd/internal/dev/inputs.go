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

// Decision is what the policy says of one saved input. x.input.json asks the policy in x.rego of the
// same folder, x.anything.input.json too; where there is no such file, all policies of the folder.
// The answer is the value of each rule, by name. x.expected.json holds those that must be so.
type Decision struct {
	Input    string // slash path relative to the directory
	Answer   any
	Err      error
	New      bool     // it was not asked before
	Changed  []string // what is different since the last round, a line each: "- …" before, "+ …" now
	Expected bool     // there is an expected answer
	Missed   []string // how the answer is not the expected one: "- …" is expected, "+ …" is so
}

// OK reports whether the decision could be made and is the expected one.
func (d Decision) OK() bool { return d.Err == nil && len(d.Missed) == 0 }

// inputs are the saved inputs of a directory and their last answers.
type inputs struct {
	dir     string
	paths   []string
	answers map[string]any
}

// find looks for inputs where the change may have added or removed some, and tells whether it can
// have changed any.
func (in *inputs) find(change watcher.Change) bool {
	if !change.Rescan && in.answers != nil && !slices.ContainsFunc(change.Paths, isInput) {
		return false
	}
	if in.answers == nil {
		in.answers = map[string]any{}
	}
	in.paths = nil
	// What cannot be read has no inputs to show; the engine says what is wrong with the directory.
	_ = filepath.WalkDir(in.dir, func(p string, entry fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(in.dir, p)
		if err != nil || relErr != nil {
			return nil //nolint:nilerr // see above
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

// decide asks the policy about every input.
func (in *inputs) decide(ctx context.Context, g *engine.Generation) []Decision {
	var all []Decision
	for _, p := range in.paths {
		d := Decision{Input: p}
		before, known := in.answers[p]
		d.Answer, d.Err = in.answer(ctx, g, p)
		if d.Err == nil {
			d.New = !known
			if known {
				d.Changed = difference(before, d.Answer)
			}
			in.answers[p] = d.Answer
			d.Expected, d.Missed, d.Err = in.compare(p, d.Answer)
		}
		all = append(all, d)
	}
	return all
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
	for _, file := range asked(g, p) {
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
		return nil, fmt.Errorf("%s: its folder has no policy to ask", p)
	case 1:
		for _, answer := range answers {
			return answer, nil
		}
	}
	packages := make(map[string]any, len(answers))
	maps.Copy(packages, answers)
	return packages, nil
}

// asked are the policy files that an input is for.
func asked(g *engine.Generation, input string) []string {
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
	text, err := os.ReadFile(filepath.Join(in.dir, filepath.FromSlash(p)))
	if err != nil {
		return nil, err
	}
	var value any
	if err := util.NewJSONDecoder(bytes.NewReader(text)).Decode(&value); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return value, nil
}

// compare looks whether the answer has what the expected one has. Rules that it does not name may
// say anything.
func (in *inputs) compare(p string, answer any) (expected bool, missed []string, err error) {
	want, err := in.read(strings.TrimSuffix(p, inputSuffix) + expectedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil, nil
	}
	if err != nil {
		return true, nil, err
	}
	if named, ok := want.(map[string]any); ok {
		all, _ := answer.(map[string]any)
		some := map[string]any{}
		for name := range named {
			if value, ok := all[name]; ok {
				some[name] = value
			}
		}
		answer = some
	}
	return true, difference(want, answer), nil
}

// difference is how two JSON documents differ, a line for each place.
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

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
