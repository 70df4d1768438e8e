// Package domains answers for the six domains of DefenseClaw's policy, the packages data.defenseclaw.NAME:
// admission, firewall, sandbox, audit, skill_actions and guardrail.
//
// Each evaluation asks for a whole package and reads the rules that it has an answer for. Admission and
// guardrail fail closed: where the policy gives no verdict, they answer with a refusal of their own.
//
// [API] serves them over HTTP; [EvaluateAdmission] and [EvaluateFirewall] ask a generation directly.
package domains

import (
	"context"
	"fmt"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// BeginFunc is [decision.BeginFunc] for a domain, by its label. end also gets the verdict, or
// [VerdictError].
type BeginFunc func(
	ctx context.Context, label string, g *engine.Generation, q decision.Question,
) (_ context.Context, end func(verdict string, a decision.Answer))

// VerdictError is the verdict of an evaluation that gave none.
const VerdictError = "error"

// API answers HTTP. All fields are required. Its methods are handlers; the caller answers their errors.
// Safe for concurrent use.
type API struct {
	// Serving fails while there is no generation to decide by: with [decision.ErrNoPolicy],
	// [decision.ErrExpired] or [decision.ErrSourceStale].
	Serving func() (*engine.Generation, error)
	Begin   BeginFunc

	// Lists returns the entries of the block and the allow list for a target.
	Lists func(targetType, targetName string) (block, allow []any, err error)

	// AskJudge returns the judge's result for a text, or nil if there is no judge.
	AskJudge func(ctx context.Context, direction, content string) (*ScannerResult, error)

	// HILT returns the setting of the moment. It is called for each decision of the guardrail and must not wait.
	HILT func() HILT

	// CountAdmission is called after every admission.
	CountAdmission func(ctx context.Context, targetType, verdict string, elapsed time.Duration)

	Logger *zap.Logger
}

// domain is one of the six packages.
type domain struct {
	name    string // of the package
	label   string // for measuring
	verdict func(rules) string
}

var (
	admission    = domain{"admission", "admission", text("verdict")}
	guardrail    = domain{"guardrail", "guardrail", text("action")}
	firewall     = domain{"firewall", "firewall", text("action")}
	audit        = domain{"audit", "audit", either("retain", "retain", "expire")}
	skillActions = domain{"skill_actions", "skill-actions", either("should_block", "block", "allow")}
	sandbox      = domain{"sandbox", "sandbox", func(r rules) string {
		if denied, _ := r["denied_from_request"].([]any); len(denied) > 0 {
			return "restrict"
		}
		return "allow"
	}}
)

// Packages are the packages that the domains ask for.
func Packages() []engine.Path {
	var packages []engine.Path
	for _, d := range []domain{admission, guardrail, firewall, audit, skillActions, sandbox} {
		packages = append(packages, d.path())
	}
	return packages
}

// Keep is what a reload must not take away: the packages that the domains ask for, and data that those or others of DefenseClaw read.
func Keep() engine.Keep {
	return engine.Keep{Packages: Packages(), DataOf: []engine.Path{{"defenseclaw"}}}
}

func (d domain) path() engine.Path { return engine.Path{"defenseclaw", d.name} }

func text(name string) func(rules) string { return func(r rules) string { return r.text(name) } }

func either(name, yes, no string) func(rules) string {
	return func(r rules) string {
		if r.flag(name) {
			return yes
		}
		return no
	}
}

// decide evaluates a domain by the generation that serves.
func (a *API) decide(ctx context.Context, d domain, input any) (rules, error) {
	g, err := a.Serving()
	if err != nil {
		return nil, err
	}
	return decide(ctx, g, d, input, a.Begin)
}

// unmeasured is a [BeginFunc] for evaluations outside of a server.
func unmeasured(
	ctx context.Context, _ string, _ *engine.Generation, _ decision.Question,
) (context.Context, func(string, decision.Answer)) {
	return ctx, func(string, decision.Answer) {}
}

// decide evaluates a domain's package and returns the values of its rules.
func decide(ctx context.Context, g *engine.Generation, d domain, input any, begin BeginFunc) (rules, error) {
	in, err := engine.PlainInput(input)
	if err != nil {
		return nil, fmt.Errorf("input of %s: %w", d.name, err)
	}
	path := d.path()
	ctx, end := begin(ctx, d.label, g, decision.Question{Path: path, Input: in})
	result, defined, err := g.DecideInput(ctx, path, in)
	got, err := readRules(d.name, result, defined, err)
	verdict := VerdictError
	if err == nil {
		verdict = d.verdict(got)
	}
	end(verdict, decision.Answer{Result: result, Defined: defined, Err: err})
	return got, err
}

// MissingPackage is the error that the policy has no rules of a domain.
type MissingPackage struct{ Path string }

// Error describes it in one line.
func (e *MissingPackage) Error() string { return "package " + e.Path + " is not in the policy" }

// readRules reads a package's rules out of its evaluation.
func readRules(name string, result any, defined bool, err error) (rules, error) {
	if err != nil {
		return nil, err
	}
	if !defined {
		return nil, &MissingPackage{"defenseclaw." + name}
	}
	object, ok := result.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("data.defenseclaw.%s is %T; an object was expected", name, result)
	}
	return object, nil
}

// rules are the values of a package's rules, by name. An undefined rule reads as the zero value; a scalar
// that is not text reads as its text, and an object or a list as no text: its text would be no action.
type rules map[string]any

func (r rules) text(name string) string {
	switch v := r[name].(type) {
	case nil, map[string]any, []any:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

func (r rules) flag(name string) bool {
	b, _ := r[name].(bool)
	return b
}

// texts is a list of texts without what else is in it. It is nil, which an answer shows as null, if the rule is
// undefined or no list.
func (r rules) texts(name string) []any {
	list, ok := r[name].([]any)
	if !ok {
		return nil
	}
	kept := make([]any, 0, len(list))
	for _, value := range list {
		if _, ok := value.(string); ok {
			kept = append(kept, value)
		}
	}
	return kept
}

// orEmpty keeps null out of inputs.
func orEmpty(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}
