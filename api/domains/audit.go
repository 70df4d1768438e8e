package domains

import (
	"net/http"

	"defenseclaw/api/internal/decision"
)

// Audit answers POST /policy/evaluate/audit.
func (a *API) Audit(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		EventType     string   `json:"event_type"`
		Severity      string   `json:"severity"`
		AgeDays       int64    `json:"age_days"`
		ExportTargets []string `json:"export_targets"`
	}
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	got, err := a.decide(r.Context(), audit, map[string]any{
		"event_type": in.EventType, "severity": in.Severity, "age_days": in.AgeDays, "export_targets": texts(in.ExportTargets),
	})
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, map[string]any{
		"retain": got.flag("retain"), "retain_reason": got.text("retain_reason"), "export_to": got.texts("export_to"),
	})
	return nil
}
