// Package schema compares the data of a policy directory with the schema of the default pack, and reads the schemas
// that METADATA annotations name.
package schema

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review/guard"
	"defenseclaw/engine/source"
	"defenseclaw/policies"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Code is the code of every diagnostic of this package.
const Code = "data_schema"

// Content is what a policy directory holds: an engine.Generation, or an engine.Draft of a directory
// that could not be loaded.
type Content interface {
	HasPackage(path engine.Path) bool
	Data() ast.Object
	Files() []*source.File
	Root() string
}

// Applies reports whether the schema describes the data of dir: it does where dir has the pack's
// admission policy. Other directories have data of their own.
func Applies(dir Content) bool { return dir.HasPackage(engine.Path{"defenseclaw", "admission"}) }

// CheckDraft is [Check] for a directory that could not be loaded: problems of its data are found before
// its rules compile. It finds none where a data file could not be read, since what that file holds would
// be reported as missing.
func CheckDraft(ctx context.Context, src fs.FS) (diagnostic.List, error) {
	draft, err := engine.LoadDraft(ctx, src)
	if refused := new(engine.Refused); errors.As(err, &refused) || err == nil && !draft.DataComplete() {
		return nil, nil // the refusal has a diagnostic for it
	}
	if err != nil {
		return nil, err
	}
	return Check(draft)
}

// Checks are [Problems] of one generation after the other, which cost what changed between them. Safe for concurrent use.
type Checks struct {
	inRego *engine.SchemaChecks

	mu      sync.Mutex // guards the fields below
	data    ast.Object // that was compared last
	applied bool       // the schema of data applied to it
	inData  diagnostic.List
}

// NewChecks takes the schemas that annotations name, which may be nil, and that of the input of guards.
func NewChecks(set *ast.SchemaSet, ofGuards any) *Checks {
	return &Checks{inRego: engine.NewSchemaChecks(set, map[string]any{guard.Package().String(): ofGuards})}
}

// Problems are those of g.
func (c *Checks) Problems(g *engine.Generation) (diagnostic.List, error) {
	inRego, err := c.inRego.Check(g)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if applies := Applies(g); c.data == nil || g.Data() != c.data || applies != c.applied {
		if c.inData, err = Check(g); err != nil {
			return nil, err
		}
		c.data, c.applied = g.Data(), applies
	}
	return slices.Concat(inRego, c.inData, guard.Check(g)).Sorted(), nil
}

// Problems are what is wrong with a policy that compiles: by the schemas of its annotations and of set, which may be nil, in its
// data, and in its guards, whose input has the schema ofGuards. They are sorted.
func Problems(g *engine.Generation, set *ast.SchemaSet, ofGuards any) (diagnostic.List, error) {
	return NewChecks(set, ofGuards).Problems(g)
}

// Check compares the data of dir with the schema that ships with the default pack. The diagnostics are
// sorted; there are none where the schema does not apply.
func Check(dir Content) (diagnostic.List, error) {
	if !Applies(dir) {
		return nil, nil
	}
	compiled, err := compiledSchema()
	if err != nil {
		return nil, err
	}
	data, err := ast.JSON(dir.Data())
	if err != nil {
		return nil, fmt.Errorf("compare the data with the schema: %w", err)
	}
	return diagnose(dir, compiled.mistakes(data), func(string) bool { return true }), nil
}

// diagnose lists mistakes, each with its place. Of the sections that are missing, it lists those that are needed.
func diagnose(dir Content, mistakes []mistake, needed func(section string) bool) diagnostic.List {
	var found diagnostic.List
	for _, m := range mistakes {
		if len(m.missing) > 0 && len(m.at) == 0 {
			m.missing = slices.DeleteFunc(slices.Clone(m.missing), func(section string) bool { return !needed(section) })
			if len(m.missing) == 0 {
				continue
			}
		}
		d := diagnostic.Diagnostic{Code: Code, Message: m.String()}
		if where := strings.Join(m.at, "."); where != "" {
			d.Message = where + ": " + d.Message
		}
		d.File, d.Line, d.Column, d.Text = PlaceInData(dir, m.at)
		found = append(found, d)
	}
	return found.Sorted()
}

// compiledSchema is the schema of the default pack, compiled once.
var compiledSchema = sync.OnceValues(func() (*rules, error) {
	compiled, err := compile(policies.DataSchema())
	if err != nil {
		return nil, fmt.Errorf("read the schema of the default pack: %w", err)
	}
	return compiled, nil
})
