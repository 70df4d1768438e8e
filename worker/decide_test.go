package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/topdown"
)

const decisions = `package p
x := data.n
echo := input
set := {1, "a", {"b": [null, true]}}
big := 123456789012345678901234567890.5
undefined if input.never
fails := 1 / input.zero
conflict := 1 if input
conflict := 2 if input
slow := count([1 | some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == input.never])
long := concat("", [s | some i in numbers.range(1, 2000); s := "0123456789"])
`

// TestDecisionsAreMadeAsTheyAreHere compares each decision with that of this process's own generation.
func TestDecisionsAreMadeAsTheyAreHere(t *testing.T) {
	p := start(t, func(cfg *workerConfig) { cfg.AnswerBytes = 10_000 })
	p.files["p.rego"] = &fstest.MapFile{Data: []byte(decisions)}
	g := p.edit("7")
	for _, tt := range []struct {
		path  engine.Path
		input string // empty: none
	}{
		{engine.Path{"p", "x"}, ""},
		{engine.Path{"p", "x"}, `{}`},
		{engine.Path{"p", "echo"}, ""},
		{engine.Path{"p", "echo"}, `null`},
		{engine.Path{"p", "echo"}, `{"a":[1.0,1e3,12345678901234567890,"<>&é "],"b":{}}`},
		{engine.Path{"p", "set"}, ""},
		{engine.Path{"p", "big"}, ""},
		{engine.Path{"p", "undefined"}, `{}`},
		{engine.Path{"p", "fails"}, `{"zero":0}`},
		{engine.Path{"p", "conflict"}, `{}`},
		{engine.Path{"p", "slow"}, `{}`},
		{engine.Path{"p", "missing", "0", "a.b/c"}, `{}`},
		{engine.Path{"\xff"}, `{}`},
	} {
		for _, lenient := range []bool{false, true} {
			evaluate := g.Evaluate
			if lenient {
				evaluate = g.EvaluateLenient
			}
			input, _ := engine.ParseJSON([]byte(tt.input))
			deadline := patience
			if len(tt.path) > 1 && tt.path[1] == "slow" {
				deadline = 100 * time.Millisecond
			}
			here, hereErr := evaluate(within(t, deadline), tt.path, input)
			there, thereErr := p.Evaluate(within(t, deadline), g, tt.path, input, lenient)
			if errors.Is(hereErr, engine.ErrDecisionTimeout) { // each has a text of its own
				if !errors.Is(thereErr, engine.ErrDecisionTimeout) {
					t.Errorf("%s of %s, lenient %v: %v", tt.path, tt.input, lenient, thereErr)
				}
				continue
			}
			if (hereErr == nil) != (thereErr == nil) || hereErr != nil && !alike(hereErr, thereErr) {
				t.Errorf("%s of %s, lenient %v: here %v, there %v", tt.path, tt.input, lenient, hereErr, thereErr)
			}
			if (here == nil) != (there == nil) {
				t.Errorf("%s of %s, lenient %v: here %v, there %v", tt.path, tt.input, lenient, here, there)
			} else if here != nil && text(t, g, here) != text(t, g, there) {
				t.Errorf("%s of %s, lenient %v: here %s, there %s", tt.path, tt.input, lenient, text(t, g, here), text(t, g, there))
			}
		}
	}
	if _, err := p.Evaluate(t.Context(), g, engine.Path{"p", "long"}, nil, false); !errors.Is(err, engine.ErrAnswerTooLong) {
		t.Errorf("a long answer: %v", err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// alike compares what callers can tell of errors.
func alike(a, b error) bool {
	for _, kind := range []error{engine.ErrBusy, engine.ErrPath, engine.ErrAnswerTooLong} {
		if errors.Is(a, kind) != errors.Is(b, kind) {
			return false
		}
	}
	var ours, theirs *topdown.Error
	if errors.As(a, &ours) != errors.As(b, &theirs) || ours != nil && (ours.Code != theirs.Code || ours.Location.String() != theirs.Location.String()) {
		return false
	}
	return a.Error() == b.Error()
}
