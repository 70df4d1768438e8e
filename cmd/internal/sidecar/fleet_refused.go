package sidecar

import (
	"slices"
	"strings"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/watcher/fleet/record"
)

// refusedError is a refusal with its first diagnostics, for people elsewhere.
type refusedError struct{ *engine.Refused }

func (e *refusedError) Error() string {
	const shown = 3
	text := e.Refused.Error()
	for i, d := range e.Diagnostics {
		if i == shown {
			break
		}
		if line := d.String(); !strings.Contains(text, line) {
			text += "; " + line
		}
	}
	return text
}

func (e *refusedError) Unwrap() error { return e.Refused }

// limitCodes are those of diagnostics about limits that this sidecar has, and another may not.
var limitCodes = []string{
	diagnostic.CodeFileTooLarge, diagnostic.CodePolicyTooLarge, diagnostic.CodeTooManyFiles, diagnostic.CodeTooDeep,
}

// codeOf is why a release is refused, for the channel. A release that has other faults, too, is at fault itself.
func codeOf(r *engine.Refused) record.Code {
	other := slices.ContainsFunc(r.Diagnostics, func(d diagnostic.Diagnostic) bool { return !slices.Contains(limitCodes, d.Code) })
	if len(r.Diagnostics) > 0 && !other {
		return record.CodeLimits
	}
	return record.CodePolicy
}
