package opa

import (
	"encoding/json"
	"fmt"
	"strings"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/server/types"
)

// codePathNotFound is the code of the warning in an answer without a result because there is neither a rule nor data at the
// path: no input gives it one.
const codePathNotFound = "path_not_found"

// maxShownBytes is how much of a path is repeated in a warning or an error.
const maxShownBytes = 300

// absent is the warning that nothing is at a path, with what was most likely meant. It is nil where some input could define
// the document. It is asked for only where a decision is undefined.
func (x *exchange) absent(path engine.Path) *types.Warning {
	if len(path) == 0 || x.g.CouldDefine(path) {
		return nil
	}
	message := fmt.Sprintf("neither a rule nor data is at %s", shown(path))
	if x.Suggests == nil || x.Suggests(x.g) {
		if near := x.g.Nearest(path); near != nil {
			message += fmt.Sprintf("; did you mean %s?", shown(near))
		}
	}
	return types.NewWarning(codePathNotFound, message)
}

// appendAbsent appends the warning to an object that is not yet closed.
func (x *exchange) appendAbsent(to []byte, path engine.Path) []byte {
	warning := x.absent(path)
	if warning == nil {
		return to
	}
	text, err := json.Marshal(warning)
	if err != nil {
		return to
	}
	return append(append(to, `,"warning":`...), text...)
}

func shown(path engine.Path) string { return shortened(path.String()) }

func shortened(text string) string {
	if len(text) > maxShownBytes {
		return strings.ToValidUTF8(text[:maxShownBytes], "") + "…"
	}
	return text
}
