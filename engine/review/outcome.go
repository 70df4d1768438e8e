package review

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Outcomes tells what answers mean to callers: by the rule data.system.reload.outcome of a generation, whose input is
// {"path", "result"}, without result where the answer is undefined; and by [OutcomeOf] where that rule has no answer.
// Safe for concurrent use.
type Outcomes struct {
	policy *engine.Generation // nil: it has no such rule

	mu    sync.Mutex
	known map[string]Outcome
}

var outcomePath = engine.Path{"system", "reload", "outcome"}

const (
	outcomeTimeout = 200 * time.Millisecond
	maxOutcomes    = 10_000 // answers that are remembered
)

// NewOutcomes uses the rule of g, which may be nil: that of the base, since no change judges itself.
func NewOutcomes(g *engine.Generation) *Outcomes {
	o := &Outcomes{known: map[string]Outcome{}}
	if g != nil && g.HasRules(outcomePath) {
		o.policy = g.Alone(outcomeTimeout)
	}
	return o
}

// Of is the outcome of an answer at a path such as firewall/allow. A nil result is an undefined answer, and failed says
// that there was an error instead. A rule that fails, or takes longer than 200 ms, has no answer.
func (o *Outcomes) Of(ctx context.Context, path string, result json.RawMessage, failed bool) Outcome {
	if o.policy == nil || failed {
		return OutcomeOf(path, result, failed)
	}
	key := path + "\x00" + string(result)
	o.mu.Lock()
	known, ok := o.known[key]
	o.mu.Unlock()
	if ok {
		return known
	}
	found, ok := o.ask(ctx, path, result)
	if !ok {
		found = OutcomeOf(path, result, false)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) < maxOutcomes {
		o.known[key] = found
	}
	return found
}

func (o *Outcomes) ask(ctx context.Context, path string, result json.RawMessage) (Outcome, bool) {
	input := ast.NewObject([2]*ast.Term{ast.StringTerm("path"), ast.StringTerm(path)})
	if result != nil {
		value, err := engine.ParseJSON(result)
		if err != nil {
			return "", false
		}
		input.Insert(ast.StringTerm("result"), ast.NewTerm(value))
	}
	value, err := o.policy.EvaluateLenient(ctx, outcomePath, input)
	if err != nil {
		return "", false
	}
	word, ok := value.(ast.String)
	found := Outcome(word)
	return found, ok && slices.Contains([]Outcome{OutcomeAllow, OutcomeDeny, OutcomeError, OutcomeOther}, found)
}

// The last part of a path, or the member of an object, whose value says yes by being false, empty or undefined.
var denyingNames = []string{"deny", "denied", "block", "blocked", "violation", "violations"}

// decidingMembers are the members of an object that say what it means, the first one that is there.
var decidingMembers = append([]string{"allow", "allowed", "decision", "action", "verdict", "effect"}, denyingNames...)

var (
	allowingWords = []string{"allow", "allowed", "permit", "permitted", "pass", "clean"}
	denyingWords  = []string{"deny", "denied", "block", "blocked", "reject", "rejected", "quarantine", "confirm"}
)

// OutcomeOf guesses the outcome of an answer by names and words that policies use. true and false are allow and deny, and
// so are words such as permit and block; it is the other way round where the path ends in deny, violation or the like,
// where an empty set or none at all allows. An object means what its member allow, decision or the like does. Elsewhere
// an undefined answer denies, and everything else is another outcome.
func OutcomeOf(path string, result json.RawMessage, failed bool) Outcome {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if failed {
		return OutcomeError
	}
	if result == nil {
		return either(slices.Contains(denyingNames, name))
	}
	var value any
	if json.Unmarshal(result, &value) != nil {
		return OutcomeOther
	}
	return meaning(name, value)
}

func meaning(name string, value any) Outcome {
	denies := slices.Contains(denyingNames, name)
	switch v := value.(type) {
	case bool:
		return either(v != denies)
	case string:
		switch word := strings.ToLower(v); {
		case slices.Contains(allowingWords, word):
			return OutcomeAllow
		case slices.Contains(denyingWords, word):
			return OutcomeDeny
		}
	case []any:
		if denies {
			return either(len(v) == 0)
		}
	case map[string]any:
		for _, member := range decidingMembers {
			inner, ok := v[member]
			if _, nested := inner.(map[string]any); !ok || nested {
				continue
			}
			if found := meaning(member, inner); found != OutcomeOther {
				return found
			}
		}
		if denies && len(v) == 0 {
			return OutcomeAllow
		}
	}
	return OutcomeOther
}

func either(allowed bool) Outcome {
	if allowed {
		return OutcomeAllow
	}
	return OutcomeDeny
}
