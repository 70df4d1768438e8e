package domains

import (
	"context"
	"net/http"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

// FirewallRequest is the body of POST /policy/evaluate/firewall.
type FirewallRequest struct {
	TargetType  string `json:"target_type"`
	Destination string `json:"destination"`
	Port        int    `json:"port"`
	Protocol    string `json:"protocol"`
}

func (in FirewallRequest) forPolicy() map[string]any {
	return map[string]any{
		"target_type": in.TargetType, "destination": in.Destination, "port": in.Port, "protocol": in.Protocol,
	}
}

// FirewallAnswer is the body of the answer to a [FirewallRequest].
type FirewallAnswer struct {
	Action   string `json:"action"`
	RuleName string `json:"rule_name"`
}

// EvaluateFirewall asks a generation's firewall policy.
func EvaluateFirewall(ctx context.Context, g *engine.Generation, in FirewallRequest) (FirewallAnswer, error) {
	got, err := decide(ctx, g, firewall, in.forPolicy(), unmeasured)
	return firewallAnswer(got), err
}

func firewallAnswer(got rules) FirewallAnswer {
	return FirewallAnswer{got.text("action"), got.text("rule_name")}
}

// Firewall answers POST /policy/evaluate/firewall.
func (a *API) Firewall(w http.ResponseWriter, r *http.Request) error {
	var in FirewallRequest
	if err := decision.Decode(r, &in); err != nil {
		return err
	}
	if in.Destination == "" {
		return decision.BadRequest("destination is required")
	}
	got, err := a.decide(r.Context(), firewall, in.forPolicy())
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, firewallAnswer(got))
	return nil
}
