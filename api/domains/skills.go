package domains

import (
	"net/http"

	"defenseclaw/api/internal/decision"
)

// sandboxRules are the rules that Sandbox answers with.
var sandboxRules = []string{
	"allowed_endpoints", "denied_endpoints", "denied_from_request", "permissions", "allowed_skills",
}

// Sandbox answers POST /policy/evaluate/sandbox.
func (a *API) Sandbox(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		SkillName            string `json:"skill_name"`
		RequestedEndpoints   []any  `json:"requested_endpoints"`
		RequestedPermissions []any  `json:"requested_permissions"`
	}
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if in.SkillName == "" {
		return decision.BadRequest("skill_name is required")
	}
	got, err := a.decide(r.Context(), sandbox, map[string]any{
		"skill_name":          in.SkillName,
		"requested_endpoints": orEmpty(in.RequestedEndpoints), "requested_permissions": orEmpty(in.RequestedPermissions),
	})
	if err != nil {
		return err
	}
	answer := map[string]any{}
	for _, name := range sandboxRules {
		answer[name] = got.value(name, []any{})
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// SkillActions answers POST /policy/evaluate/skill-actions.
func (a *API) SkillActions(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Severity   string `json:"severity"`
		TargetType string `json:"target_type"`
	}
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if in.Severity == "" {
		return decision.BadRequest("severity is required")
	}
	got, err := a.decide(r.Context(), skillActions, in)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"runtime_action": got.text("runtime_action"), "file_action": got.text("file_action"),
		"install_action": got.text("install_action"), "should_block": got.flag("should_block"),
	})
	return nil
}
