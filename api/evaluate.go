package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/api/internal/decision"
	"defenseclaw/api/metrics"
	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
)

// domain is one of the six packages data.defenseclaw.<name>.
type domain struct {
	name    string
	metric  string
	verdict func(rules) string // for the metrics
}

func rule(name string) func(rules) string { return func(r rules) string { return r.text(name) } }

func either(name, yes, no string) func(rules) string {
	return func(r rules) string {
		if r.flag(name) {
			return yes
		}
		return no
	}
}

var (
	admission    = domain{"admission", metrics.DomainAdmission, rule("verdict")}
	guardrail    = domain{"guardrail", metrics.DomainGuardrail, rule("action")}
	firewall     = domain{"firewall", metrics.DomainFirewall, rule("action")}
	auditDomain  = domain{"audit", metrics.DomainAudit, either("retain", "retain", "expire")}
	skillActions = domain{"skill_actions", metrics.DomainSkillActions, either("should_block", "block", "allow")}
	sandbox      = domain{"sandbox", metrics.DomainSandbox, func(r rules) string {
		if len(r.list("denied_from_request")) > 0 {
			return "restrict"
		}
		return "allow"
	}}
)

// decide evaluates the whole package of a domain: the values of its rules.
func (s *Server) decide(ctx context.Context, d domain, input any) (rules, error) {
	g := s.current()
	if g == nil {
		return nil, decision.ErrNoPolicy
	}
	value, err := domainInput(d.name, input)
	if err != nil {
		return nil, err
	}
	path := engine.Path{"defenseclaw", d.name}
	ctx, begun := s.begin(ctx, d.metric, g, decision.Question{Path: path, Input: value})
	result, defined, err := g.Decide(ctx, path, value)
	got, err := readRules(d.name, result, defined, err)
	verdict := metrics.VerdictError
	if err == nil {
		verdict = d.verdict(got)
	}
	begun.end(verdict, decision.Answer{Result: result, Defined: defined, Err: err})
	return got, err
}

func evaluate(ctx context.Context, g *engine.Generation, name string, input any) (rules, error) {
	value, err := domainInput(name, input)
	if err != nil {
		return nil, err
	}
	result, defined, err := g.Decide(ctx, engine.Path{"defenseclaw", name}, value)
	return readRules(name, result, defined, err)
}

func domainInput(name string, input any) (ast.Value, error) {
	value, err := ast.InterfaceToValue(input)
	if err != nil {
		return nil, fmt.Errorf("input of %s: %w", name, err)
	}
	return value, nil
}

// readRules takes a package's rules out of what came of evaluating it.
func readRules(name string, result any, defined bool, err error) (rules, error) {
	if err != nil {
		return nil, err
	}
	if !defined {
		return nil, fmt.Errorf("package defenseclaw.%s is not in the policy", name)
	}
	object, ok := result.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("data.defenseclaw.%s is %T; an object was expected", name, result)
	}
	return object, nil
}

// rules are the values of a package's rules, by name. A rule that is not defined reads as the zero
// value; a scalar that is not text reads as its text.
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

func (r rules) list(name string) []any {
	if l, ok := r[name].([]any); ok {
		return l
	}
	return []any{}
}

// value is for rules whose shape is the policy's own affair.
func (r rules) value(name string, otherwise any) any {
	if v, ok := r[name]; ok {
		return v
	}
	return otherwise
}

// decode reads exactly one JSON value into v. Unknown fields are the caller's own affair.
func decode(r *http.Request, v any) error {
	decoder := json.NewDecoder(r.Body)
	err := decoder.Decode(v)
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return err
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return badRequest("%s: a JSON %s was found; %s was expected", wrongType.Field, wrongType.Value, wrongType.Type)
	case err != nil:
		return badRequest("invalid JSON body: %s", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		if errors.As(err, &tooLarge) {
			return err
		}
		return badRequest("invalid JSON body: more text after the first value")
	}
	return nil
}

// AdmissionRequest is the body of POST /policy/evaluate.
type AdmissionRequest struct {
	Domain string         `json:"domain"`
	Input  AdmissionInput `json:"input"`
}

// AdmissionInput is what is to be admitted. The lists are the sidecar's own: a caller cannot allow
// itself.
type AdmissionInput struct {
	TargetType string         `json:"target_type"`
	TargetName string         `json:"target_name"`
	Path       string         `json:"path"`
	ScanResult map[string]any `json:"scan_result,omitempty"`

	BlockList []audit.Entry `json:"-"`
	AllowList []audit.Entry `json:"-"`
}

func (in *AdmissionInput) forPolicy() map[string]any {
	input := map[string]any{
		"target_type": in.TargetType, "target_name": in.TargetName, "path": in.Path,
		"block_list": orNone(in.BlockList), "allow_list": orNone(in.AllowList),
	}
	if in.ScanResult != nil {
		input["scan_result"] = in.ScanResult
	}
	return input
}

// AdmissionVerdict is the data of its answer.
type AdmissionVerdict struct {
	Verdict       string `json:"verdict"`
	Reason        string `json:"reason"`
	FileAction    string `json:"file_action"`
	InstallAction string `json:"install_action"`
	RuntimeAction string `json:"runtime_action"`
}

// EvaluateAdmission asks a generation's admission policy. Without a verdict the error says why, and
// the verdict is to refuse.
func EvaluateAdmission(ctx context.Context, g *engine.Generation, in AdmissionInput) (AdmissionVerdict, error) {
	got, err := evaluate(ctx, g, admission.name, in.forPolicy())
	return admissionVerdict(got, err)
}

func admissionVerdict(got rules, err error) (AdmissionVerdict, error) {
	verdict := AdmissionVerdict{got.text("verdict"), got.text("reason"), got.text("file_action"), got.text("install_action"), got.text("runtime_action")}
	if err == nil && verdict.Verdict == "" {
		err = errors.New("data.defenseclaw.admission.verdict is not defined")
	}
	if err != nil {
		verdict = AdmissionVerdict{"rejected", "policy evaluation failed: denied by default", "quarantine", "block", "block"}
	}
	return verdict, err
}

func (s *Server) evaluateAdmission(w http.ResponseWriter, r *http.Request) error {
	var request AdmissionRequest
	if err := decode(r, &request); err != nil {
		return err
	}
	if request.Domain != "" && request.Domain != "admission" {
		return badRequest("unsupported policy domain %q: admission was expected", request.Domain)
	}
	in := &request.Input
	if in.TargetType == "" || in.TargetName == "" {
		return badRequest("input.target_type and input.target_name are required")
	}
	listed := s.addLists(in)
	start := time.Now()
	got, err := s.decide(r.Context(), admission, in.forPolicy())
	if errors.Is(err, decision.ErrNoPolicy) || errors.Is(err, engine.ErrBusy) { // it was not evaluated
		return err
	}
	verdict, err := admissionVerdict(got, cmp.Or(listed, err))
	if err != nil {
		s.cfg.Logger.Error("admission fails closed", zap.Error(err))
	}
	s.cfg.Metrics.Admission(r.Context(), in.TargetType, verdict.Verdict, time.Since(start))
	decision.WriteJSON(w, http.StatusOK, map[string]any{"ok": true, "data": verdict})
	return nil
}

// FirewallRequest is the body of POST /policy/evaluate/firewall.
type FirewallRequest struct {
	TargetType  string `json:"target_type"`
	Destination string `json:"destination"`
	Port        int    `json:"port"`
	Protocol    string `json:"protocol"`
}

// FirewallAnswer is the body of its answer.
type FirewallAnswer struct {
	Action   string `json:"action"`
	RuleName string `json:"rule_name"`
}

// EvaluateFirewall asks a generation's firewall policy.
func EvaluateFirewall(ctx context.Context, g *engine.Generation, in FirewallRequest) (FirewallAnswer, error) {
	got, err := evaluate(ctx, g, firewall.name, in)
	return FirewallAnswer{got.text("action"), got.text("rule_name")}, err
}

func (s *Server) evaluateFirewall(w http.ResponseWriter, r *http.Request) error {
	var in FirewallRequest
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Destination == "" {
		return badRequest("destination is required")
	}
	got, err := s.decide(r.Context(), firewall, in)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, FirewallAnswer{got.text("action"), got.text("rule_name")})
	return nil
}

func (s *Server) evaluateSandbox(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		SkillName            string `json:"skill_name"`
		RequestedEndpoints   []any  `json:"requested_endpoints"`
		RequestedPermissions []any  `json:"requested_permissions"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.SkillName == "" {
		return badRequest("skill_name is required")
	}
	got, err := s.decide(r.Context(), sandbox, map[string]any{
		"skill_name":          in.SkillName,
		"requested_endpoints": orEmpty(in.RequestedEndpoints), "requested_permissions": orEmpty(in.RequestedPermissions),
	})
	if err != nil {
		return err
	}
	answer := map[string]any{}
	for _, name := range []string{"allowed_endpoints", "denied_endpoints", "denied_from_request", "permissions", "allowed_skills"} {
		answer[name] = got.value(name, []any{})
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) evaluateAudit(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		EventType     string  `json:"event_type"`
		Severity      string  `json:"severity"`
		AgeDays       float64 `json:"age_days"`
		ExportTargets []any   `json:"export_targets"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	got, err := s.decide(r.Context(), auditDomain, map[string]any{
		"event_type": in.EventType, "severity": in.Severity, "age_days": in.AgeDays, "export_targets": orEmpty(in.ExportTargets),
	})
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"retain": got.flag("retain"), "retain_reason": got.text("retain_reason"), "export_to": got.list("export_to"),
	})
	return nil
}

func (s *Server) evaluateSkillActions(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Severity   string `json:"severity"`
		TargetType string `json:"target_type"`
	}
	if err := decode(r, &in); err != nil {
		return err
	}
	if in.Severity == "" {
		return badRequest("severity is required")
	}
	got, err := s.decide(r.Context(), skillActions, in)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"runtime_action": got.text("runtime_action"), "file_action": got.text("file_action"),
		"install_action": got.text("install_action"), "should_block": got.flag("should_block"),
	})
	return nil
}

func orEmpty(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}
