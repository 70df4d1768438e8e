package guard_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"defenseclaw/engine/review/guard"
)

// Whatever a guard says is a finding or a fault: nothing that it says is lost.
func FuzzWhatAGuardSays(f *testing.F) {
	for _, s := range []string{
		`["a", "b"]`, `{"a": 1}`, `[{"msg": "a", "code": "c", "path": "p"}, {"msg": 1}, {}, [], null, "", 1e400]`, `true`, `"text"`, `[]`,
		`[[["a"]]]`, `["a", "a"]`, `[{"msg": "\u0000"}]`,
	} {
		f.Add([]byte(s))
	}
	only := guarded(f, "deny := input.said\n\nhold contains x if some x in input.said")
	f.Fuzz(func(t *testing.T, text []byte) {
		var said any
		if json.Unmarshal(text, &said) != nil || said == nil {
			return
		}
		v, err := patient(guard.Config{}).Judge(t.Context(), nil, only, []byte(fmt.Sprintf(`{"said": %s}`, text)))
		if err != nil {
			return // a number of too many digits
		}
		list, isList := said.([]any)
		denials := len(v.Of(guard.Deny))
		for _, fault := range v.Faults {
			if fault.Msg == "" || fault.Kind == "" {
				t.Errorf("%+v", fault)
			}
			if fault.Level == guard.Deny {
				denials++
			}
		}
		switch {
		case isList && len(list) == 0 && denials != 0, isList && len(list) > 0 && denials == 0, !isList && denials != 1:
			t.Errorf("%s gives %+v", text, v)
		case denials > 100:
			t.Errorf("%d findings", denials)
		}
		for _, finding := range v.Findings {
			if finding.Msg == "" {
				t.Errorf("%s gives a finding without text", text)
			}
		}
	})
}
