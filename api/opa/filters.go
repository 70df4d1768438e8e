package opa

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	regocompile "github.com/open-policy-agent/opa/v1/rego/compile"
	"github.com/open-policy-agent/opa/v1/server/failtracer"
	"github.com/open-policy-agent/opa/v1/server/types"
	"github.com/open-policy-agent/opa/v1/server/writer"
)

// The answer types without a single target: for several targets, and for none. OPA accepts the latter and
// then finds no filters.
const (
	severalTargets = "application/vnd.opa.multitarget+json"
	noTarget       = "application/json"
)

// targets are the single targets, by the type of their answer.
var targets = map[string]engine.Target{
	"application/vnd.opa.ucast.all+json":      {Language: "ucast", Dialect: "all"},
	"application/vnd.opa.ucast.minimal+json":  {Language: "ucast", Dialect: "minimal"},
	"application/vnd.opa.ucast.prisma+json":   {Language: "ucast", Dialect: "prisma"},
	"application/vnd.opa.ucast.linq+json":     {Language: "ucast", Dialect: "linq"},
	"application/vnd.opa.sql.postgresql+json": {Language: "sql", Dialect: "postgresql"},
	"application/vnd.opa.sql.mysql+json":      {Language: "sql", Dialect: "mysql"},
	"application/vnd.opa.sql.sqlserver+json":  {Language: "sql", Dialect: "sqlserver"},
	"application/vnd.opa.sql.sqlite+json":     {Language: "sql", Dialect: "sqlite"},
}

type filtersRequest struct {
	Input    *any      `json:"input"`
	Unknowns *[]string `json:"unknowns"`
	Options  struct {
		DisableInlining []string       `json:"disableInlining"`
		Mappings        map[string]any `json:"targetSQLTableMappings"`
		Targets         []string       `json:"targetDialects"`
		Mask            string         `json:"maskRule"`
	} `json:"options"`
}

type filter struct {
	Query any            `json:"query"`
	Masks map[string]any `json:"masks,omitempty"`
}

type filtersAnswer struct {
	Result  any               `json:"result,omitempty"` // nil if no row is allowed
	Metrics types.MetricsV1   `json:"metrics,omitempty"`
	Hints   []failtracer.Hint `json:"hints,omitempty"`
}

// Filters answers GET and POST of /v1/compile/{path}: it translates the rule at path to conditions for a
// database, in the language of the Accept header.
func (a *API) Filters() http.Handler {
	return a.handler(a.adHoc((*exchange).filters), http.MethodGet, http.MethodPost)
}

func (x *exchange) filters() {
	o := x.observation()
	o.Tracer = nil // OPA does not explain filters
	o.metrics.Timer(metrics.ServerHandler).Start()
	o.metrics.Timer(metrics.RegoQueryParse).Start()
	var body filtersRequest
	if err := x.decodeRequest(&body); err != nil && !errors.Is(err, io.EOF) {
		x.failRequest(err)
		return
	}
	request, err := x.filterRequest(body)
	if err != nil {
		x.failRequest(err)
		return
	}
	o.metrics.Timer(metrics.RegoQueryParse).Stop()
	accept := x.r.Header.Get("Accept")
	if request.Targets, err = targetsOf(accept, body.Options.Targets); err != nil {
		x.failRequest(err)
		return
	}
	failures := failtracer.New()
	request.Tracer = failures
	found, used, err := x.g.Filters(x.r.Context(), request, o.Observation)
	if err != nil {
		x.failFilters(err)
		return
	}
	answer := filtersAnswer{Hints: failures.Hints(named(used.Unknowns))}
	if accept == severalTargets {
		answer.Result = severalOf(found, request.Targets)
	} else if f := found.For(request.Targets[0].Language, request.Targets[0].Dialect); f.Query != nil {
		answer.Result = &filter{f.Query, f.Masks}
	}
	o.metrics.Timer(metrics.ServerHandler).Stop()
	answer.Metrics = o.measured()
	text, err := x.encode(answer)
	if err != nil {
		x.failDecision(err)
		return
	}
	x.w.Header().Set("Content-Type", accept)
	_, _ = x.w.Write(text)
}

// filterRequest reads all parts of a request except the targets.
func (x *exchange) filterRequest(body filtersRequest) (f engine.FilterRequest, err error) {
	if f.Path, err = x.rulePath(); err != nil {
		return f, err
	}
	f.DisableInlining, f.Mappings = body.Options.DisableInlining, body.Options.Mappings
	if f.Input, err = valueOf(body.Input); err != nil {
		return f, fmt.Errorf("error(s) occurred while converting input: %w", err) //nolint:revive // OPA's words, here and below
	}
	if body.Unknowns != nil {
		for _, text := range *body.Unknowns {
			unknown, err := parseShort(text, ast.ParseRef)
			if err != nil {
				return f, fmt.Errorf("error(s) occurred while parsing unknowns: %w", err) //nolint:revive // as above
			}
			f.Unknowns = append(f.Unknowns, unknown)
		}
	}
	if mask := body.Options.Mask; mask != "" {
		if !strings.HasPrefix(mask, "data.") {
			mask = f.Path[:max(len(f.Path)-1, 0)].String() + "." + mask
		}
		if f.Mask, err = parseShort(mask, ast.ParseRef); err != nil {
			return f, fmt.Errorf("error(s) occurred while parsing mask_rule name: %w", err) //nolint:revive // as above
		}
	}
	return f, nil
}

// rulePath returns the rule that the request's path names. OPA decodes it twice, so that system.authz may see
// another path than the rule's; here each part is decoded once, as on the other routes.
func (x *exchange) rulePath() (engine.Path, error) {
	path, err := x.path(2)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		return nil, errors.New("missing required 'path' parameter")
	}
	return path, nil
}

// targetsOf returns the targets for an answer of the type accept.
func targetsOf(accept string, several []string) (all []engine.Target, err error) {
	target, ok := targets[accept]
	switch {
	case accept == "":
		return nil, errors.New("Accept header: missing required header") //nolint:staticcheck // OPA's words, here and below
	case strings.Contains(accept, ","):
		return nil, errors.New("Accept header: multiple headers not supported") //nolint:staticcheck // as above
	case ok:
		return []engine.Target{target}, nil
	case accept == noTarget:
		return []engine.Target{{}}, nil
	case accept != severalTargets:
		return nil, fmt.Errorf("Accept header: unsupported header: %s", accept) //nolint:staticcheck // as above
	}
	for _, text := range several {
		parts := append(strings.Split(text, "+"), "")
		all = append(all, engine.Target{Language: parts[0], Dialect: parts[1]})
	}
	return all, nil
}

// several are the filters of the requested targets. UCAST has only one dialect here.
type several struct {
	UCAST      *filter `json:"ucast,omitempty"`
	PostgreSQL *filter `json:"postgresql,omitempty"`
	MySQL      *filter `json:"mysql,omitempty"`
	SQLServer  *filter `json:"sqlserver,omitempty"`
	SQLite     *filter `json:"sqlite,omitempty"`
}

func severalOf(found *regocompile.Filters, requested []engine.Target) (s several) {
	fields := map[string]**filter{"postgresql": &s.PostgreSQL, "mysql": &s.MySQL, "sqlserver": &s.SQLServer, "sqlite": &s.SQLite}
	for _, t := range requested {
		field := fields[t.Dialect]
		if t.Language == "ucast" {
			field = &s.UCAST
		}
		if f := found.For(t.Language, t.Dialect); f.Query != nil && field != nil && *field == nil {
			*field = &filter{f.Query, f.Masks}
		}
	}
	return s
}

// named returns the unknowns that a hint can name. OPA's tracer panics on others.
func named(unknowns []ast.Ref) []ast.Ref {
	return slices.DeleteFunc(slices.Clone(unknowns), func(u ast.Ref) bool {
		if len(u) < 2 {
			return true
		}
		_, ok := u[1].Value.(ast.String)
		return !ok
	})
}

// failFilters answers a translation that failed, usually because the target cannot express the policy.
func (x *exchange) failFilters(err error) {
	var untranslatable ast.Errors
	switch {
	case errors.As(err, &untranslatable):
		writer.Error(x.w, http.StatusBadRequest, types.NewErrorV1(types.CodeEvaluation, types.MsgEvaluationError).WithASTErrors(untranslatable))
	case errors.Is(err, regocompile.ErrInvalidMappings):
		x.failRequest(err)
	default:
		x.failDecision(err)
	}
}
