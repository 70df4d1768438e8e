package domains

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"time"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"

	"go.uber.org/zap"
)

// AdmissionRequest is the body of POST /policy/evaluate.
type AdmissionRequest struct {
	Domain string `json:"domain"`
	Input  struct {
		TargetType string          `json:"target_type"`
		TargetName string          `json:"target_name"`
		Path       string          `json:"path"`
		ScanResult json.RawMessage `json:"scan_result"`
	} `json:"input"`
}

// AdmissionInput describes what asks to be admitted. The lists are the sidecar's own: a request cannot set
// them.
type AdmissionInput struct {
	TargetType string
	TargetName string
	Path       string
	ScanResult *ScanResult // nil: it was not scanned

	BlockList []any
	AllowList []any
}

// ScanResult is what a scan of the target found.
type ScanResult struct {
	MaxSeverity   string `json:"max_severity"`
	TotalFindings *int64 `json:"total_findings"` // nil: the scan does not say, and so it is not clean
	ExitCode      int64  `json:"exit_code"`
	ScanError     string `json:"scan_error"`

	More map[string]any `json:"-"` // further fields, which the policy sees as they are
}

// scanResult reads a scan's result; nil if there is none.
func scanResult(field string, raw json.RawMessage) (*ScanResult, error) {
	var scan ScanResult
	more, err := object(field, raw, &scan, "max_severity", "total_findings", "exit_code", "scan_error")
	if more == nil || err != nil {
		return nil, err
	}
	scan.More = more
	return &scan, nil
}

// forPolicy has a severity always, because what a policy says of a number of findings may name it. It has no number
// of findings that the scan did not give: 0 would be clean.
func (s *ScanResult) forPolicy() map[string]any {
	result := make(map[string]any, len(s.More)+4)
	maps.Copy(result, s.More)
	result["max_severity"] = s.MaxSeverity
	if s.TotalFindings != nil {
		result["total_findings"] = *s.TotalFindings
	}
	if s.ExitCode != 0 {
		result["exit_code"] = s.ExitCode
	}
	if s.ScanError != "" {
		result["scan_error"] = s.ScanError
	}
	return result
}

func (in *AdmissionInput) forPolicy() map[string]any {
	input := map[string]any{
		"target_type": in.TargetType, "target_name": in.TargetName, "path": in.Path,
		"block_list": orEmpty(in.BlockList), "allow_list": orEmpty(in.AllowList),
	}
	if in.ScanResult != nil {
		input["scan_result"] = in.ScanResult.forPolicy()
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
	asked := &request.Input
	if asked.TargetType == "" || asked.TargetName == "" {
		return decision.BadRequest("input.target_type and input.target_name are required")
	}
	scan, err := scanResult("input.scan_result", asked.ScanResult)
	if err != nil {
		return err
	}
	in := AdmissionInput{TargetType: asked.TargetType, TargetName: asked.TargetName, Path: asked.Path, ScanResult: scan}
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
