package audit

import "slices"

// Actions are all actions that records of this program have, also those of parts that write their own and of earlier versions;
// docs/reference/audit.md has their meanings. Not to be changed.
func Actions() []string { return slices.Clone(known) }

var known = []string{
	ActionStart, ActionStop, ActionPolicyReload, actionRejected, ActionPolicyRestored,
	"policy-pinned", "policy-resumed", "policy-rolled-back", "policy-confirming", "policy-confirmed", "policy-reverted", "policy-overridden",
	"policy-held", "policy-approved", "policy-rejected", "policy-expired", "policy-renewed",
	"policy-record-clear", "policy-record-export", "policy-record-read", "policy-signature-refused",
	"source-stale", "source-fresh", "fleet-apply", "fleet-refuse", "config-update",
	ActionListBlock, ActionListAllow, ActionListRemove, ActionListImport,
	ActionAuthRefused, ActionConsoleSignIn, ActionTokenAdd, ActionTokenRemove,
	"client-event", "client-scan", "client-guardrail", "client-command",
	ActionPrune, ActionGap, ActionReplaced, ActionTampered, ActionMoved, "audit-adopted",
}
