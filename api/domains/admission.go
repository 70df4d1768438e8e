package domains

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// AdmissionRequest is the body of POST /policy/evaluate.
type AdmissionRequest struct {
	Domain string         `json:"domain"`
	Input  AdmissionInput `json:"input"`
}

// AdmissionInput describes what asks to be admitted. The lists are the sidecar's own: a request cannot set
// them.
type AdmissionInput struct {
	TargetType string         `json:"target_type"`
	TargetName string         `json:"target_name"`
	Path       string         `json:"path"`
	ScanResult map[string]any `json:"scan_result,omitempty"`

	BlockList []any `json:"-"`
	AllowList []any `json:"-"`
}

func (in *AdmissionInput) forPolicy() map[string]any {
	input := map[string]any{
		"target_type": in.TargetType, "target_name": in.TargetName, "path": in.Path,
		"block_list": orEmpty(in.BlockList), "allow_list": orEmpty(in.AllowList),
	}
	if in.ScanResult != nil {
		input["scan_result"] = in.ScanResult
	}
	return input
}

// AdmissionVerdict is the data of the answer to an [AdmissionRequest].
type AdmissionVerdict struct {
	Verdict       string `json:"verdict"`
	Reason        string `json:"reason"`
	FileAction    string `json:"file_action"`
	InstallAction string `json:"install_action"`
	RuntimeAction string `json:"runtime_action"`
}

// EvaluateAdmission asks a generation's admission policy. If it gives no verdict, the error says why, and
// the verdict is to reject.
func EvaluateAdmission(ctx context.Context, g *engine.Generation, in AdmissionInput) (AdmissionVerdict, error) {
	got, err := decide(ctx, g, admission, in.forPolicy(), unmeasured)
	return admissionVerdict(got, err)
}

func admissionVerdict(got rules, err error) (AdmissionVerdict, error) {
	verdict := AdmissionVerdict{
		got.text("verdict"), got.text("reason"), got.text("file_action"), got.text("install_action"), got.text("runtime_action"),
	}
	if err == nil && verdict.Verdict == "" {
		err = errors.New("data.defenseclaw.admission.verdict is not defined")
	}
	if err != nil {
		verdict = AdmissionVerdict{"rejected", "policy evaluation failed: denied by default", "quarantine", "block", "block"}
	}
	return verdict, err
}

// Admission answers POST /policy/evaluate. It fails closed, also when the lists cannot be read: they may
// forbid the target.
func (a *API) Admission(w http.ResponseWriter, r *http.Request) error {
	var request AdmissionRequest
	if err := decision.Decode(r, &request); err != nil {
		return err
	}
	if request.Domain != "" && request.Domain != "admission" {
		return decision.BadRequest("unsupported policy domain %q: admission was expected", request.Domain)
	}
	in := &request.Input
	if in.TargetType == "" || in.TargetName == "" {
		return decision.BadRequest("input.target_type and input.target_name are required")
	}
	var unlisted error
	in.BlockList, in.AllowList, unlisted = a.Lists(in.TargetType, in.TargetName)
	start := time.Now()
	got, err := a.decide(r.Context(), admission, in.forPolicy())
	if _, unavailable := engine.RetryAfter(err); unavailable || errors.Is(err, decision.ErrNoPolicy) { // it was not evaluated
		return err
	}
	verdict, err := admissionVerdict(got, cmp.Or(unlisted, err))
	if err != nil {
		a.Logger.Error("admission fails closed", zap.Error(err))
	}
	a.CountAdmission(r.Context(), in.TargetType, verdict.Verdict, time.Since(start))
	decision.WriteJSON(w, http.StatusOK, map[string]any{"ok": true, "data": verdict})
	return nil
}
