package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"defenseclaw/cmd/internal/terminal"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Tiers compares the two ways in which a sidecar makes a decision.
type Tiers struct {
	Program bool    `json:"program"`           // a program makes this decision
	Why     string  `json:"why,omitempty"`     // it does not
	Equal   bool    `json:"equal"`             // both gave one answer; true where no program decides
	Making  float64 `json:"making_ms"`         // of the program
	Own     float64 `json:"program_median_us"` // 0 where no program decides
	OPA     float64 `json:"opa_median_us"`

	// Where they are not equal: the answers as Rego writes values, or undefined.
	ByProgram string `json:"by_program,omitempty"`
	ByOPA     string `json:"by_opa,omitempty"`
}

func compareTiers(ctx context.Context, g *engine.Generation, path engine.Path, input json.RawMessage, lenient bool) (*Tiers, error) {
	var value ast.Value
	if input != nil {
		var err error
		if value, err = engine.ParseJSON(input); err != nil {
			return nil, fmt.Errorf("the input: %w", err)
		}
	}
	s, err := g.SideBySide(ctx, path, value, lenient)
	if err != nil {
		return nil, err
	}
	in := func(d, unit time.Duration) float64 { return float64(d) / float64(unit) }
	t := &Tiers{
		Program: s.Why == "", Why: s.Why, Equal: s.Equal,
		Making: in(s.Making, time.Millisecond), Own: in(s.Program, time.Microsecond), OPA: in(s.OPA, time.Microsecond),
	}
	if !s.Equal {
		t.ByProgram, t.ByOPA = regoText(s.ByProgram), regoText(s.ByOPA)
		if s.Err != nil {
			t.ByOPA = s.Err.Error()
		}
	}
	return t, nil
}

func regoText(v ast.Value) string {
	if v == nil {
		return "undefined"
	}
	return v.String()
}

// Err is an error if both ways were asked and gave two answers. t may be nil.
func (t *Tiers) Err() error {
	if t == nil || t.Equal {
		return nil
	}
	return fmt.Errorf("a program decides otherwise than OPA's evaluator, which is a fault of this program: %s, by OPA's evaluator %s", t.ByProgram, t.ByOPA)
}

func (t *Tiers) write(w io.Writer) {
	fmt.Fprintln(w)
	if !t.Program {
		terminal.Fprintf(w, "OPA's evaluator decides: %s\n", t.Why)
		fmt.Fprintf(w, "OPA's evaluator  %10.1f µs\n", t.OPA)
		return
	}
	answers := "the same answer"
	if !t.Equal {
		answers = "ANOTHER ANSWER"
	}
	fmt.Fprintf(w, "a program        %10.1f µs, made in %.1f ms\n", t.Own, t.Making)
	fmt.Fprintf(w, "OPA's evaluator  %10.1f µs, %s\n", t.OPA, answers)
	if t.Own > 0 {
		fmt.Fprintf(w, "OPA's evaluator takes %.1f times as long\n", t.OPA/t.Own)
	}
}
