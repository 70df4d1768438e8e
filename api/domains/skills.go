package domains

import (
	"net/http"

	"defenseclaw/api/internal/decision"
)

// Sandbox answers POST /policy/evaluate/sandbox.
func (a *API) Sandbox(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		SkillName            string   `json:"skill_name"`
		RequestedEndpoints   []string `json:"requested_endpoints"`
		RequestedPermissions []string `json:"requested_permissions"`
	}
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if in.SkillName == "" {
		return decision.BadRequest("skill_name is required")
	}
	got, err := a.decide(r.Context(), sandbox, map[string]any{
		"skill_name":          in.SkillName,
		"requested_endpoints": texts(in.RequestedEndpoints), "requested_permissions": texts(in.RequestedPermissions),
	})
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"allowed_endpoints": got.texts("allowed_endpoints"), "permissions": got.texts("permissions"),
		"allowed_skills": got.texts("allowed_skills"),
		// Nothing is dropped of what is denied.
		"denied_endpoints": got["denied_endpoints"], "denied_from_request": got["denied_from_request"],
	})
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
	input := map[string]any{"severity": in.Severity}
	if in.TargetType != "" {
		input["target_type"] = in.TargetType
	}
	got, err := a.decide(r.Context(), skillActions, input)
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"runtime_action": got.text("runtime_action"), "file_action": got.text("file_action"),
		"install_action": got.text("install_action"), "should_block": got.flag("should_block"),
	})
	return nil
}
