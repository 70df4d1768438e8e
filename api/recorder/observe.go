package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// observeTimeout bounds an evaluation that is made to see how the decision was made.
const observeTimeout = 200 * time.Millisecond

// observe evaluates a decision once more on the generation that made it, and puts into the record which clauses held, and the
// results of builtins that are not deterministic. If it cannot, the record does without.
func (r *Recorder) observe(ctx context.Context, t *taken, rec *records.Record) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	seen, calls := exits{}, builtins.NDBCache{}
	value, err := t.p.generation.Again(ctx, t.p.path, t.p.input, engine.Circumstances{
		Time: t.p.at, ND: calls, Lenient: t.p.lenient, Tracer: seen,
	})
	if ctx.Err() != nil || err != nil && saysNothing(err) {
		return
	}
	rec.Branch = seen.hash()
	for name := range calls {
		// The record has the time. A call that signs has the key among its operands.
		if name == ast.NowNanos.Name || strings.HasPrefix(name, "io.jwt.") {
			delete(calls, name)
		}
	}
	if len(calls) == 0 || err != nil || value == nil {
		return
	}
	// Other results of these calls that explain the same answer are as good as those that it was made of.
	if text, err := engine.InputJSON(value); err == nil && bytes.Equal(text, rec.Result) {
		if text, err := json.Marshal(calls); err == nil {
			rec.NDBuiltins = text
		}
	}
}

// exits are the clauses that held in one evaluation.
type exits map[*ast.Rule]struct{}

// Enabled implements [topdown.QueryTracer].
func (exits) Enabled() bool { return true }

// Config implements [topdown.QueryTracer].
func (exits) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements [topdown.QueryTracer].
func (e exits) TraceEvent(event topdown.Event) {
	if event.Op != topdown.ExitOp {
		return
	}
	if rule, ok := event.Node.(*ast.Rule); ok && rule.Module != nil {
		e[rule] = struct{}{}
	}
}

// hash names the set. A clause is known by its file, the name of its rule, and how many of that name come before it there:
// so an edit elsewhere in the file, which moves it to other lines, makes no other branch of it.
func (e exits) hash() string {
	modules := map[*ast.Module]int{} // how many clauses of each held
	var begun []string               // how their names begin; few
	for rule := range e {
		modules[rule.Module]++
		if name := beginningOf(rule); !slices.Contains(begun, name) {
			begun = append(begun, name)
		}
	}
	places := make([]string, 0, len(e))
	for m, left := range modules {
		before := map[string]int{}
		for _, first := range m.Rules {
			if left == 0 {
				break
			}
			if !slices.Contains(begun, beginningOf(first)) {
				continue
			}
			name := nameOf(first)
			nth := before[name]
			before[name]++
			for rule, otherwise := first, 0; rule != nil; rule, otherwise = rule.Else, otherwise+1 {
				if _, held := e[rule]; held {
					left--
					places = append(places, fmt.Sprintf("%s %s %d %d", fileOf(m), name, nth, otherwise))
				}
			}
		}
	}
	slices.Sort(places)
	hash := fnv.New64a()
	for _, place := range places {
		_, _ = io.WriteString(hash, place+"\n") // a hash takes everything
	}
	return fmt.Sprintf("%016x", hash.Sum64())
}

// nameOf is the rule's name in its package; of those that have parts, as far as they are fixed.
func nameOf(rule *ast.Rule) string {
	if len(rule.Head.Reference) <= 1 {
		return beginningOf(rule)
	}
	return rule.Head.Reference.GroundPrefix().String()
}

// beginningOf is the first part of a rule's name.
func beginningOf(rule *ast.Rule) string {
	if len(rule.Head.Reference) > 0 {
		if name, ok := rule.Head.Reference[0].Value.(ast.Var); ok {
			return string(name)
		}
	}
	return string(rule.Head.Name)
}

func fileOf(m *ast.Module) string {
	if at := m.Package.Location; at != nil {
		return at.File
	}
	return m.Package.Path.String()
}
