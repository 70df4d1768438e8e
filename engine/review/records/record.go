// Package records holds decisions that were made, to be made again by another generation: [Store] keeps the few that
// stand for many, [Read] and [Write] exchange them as events of OPA's decision log.
package records

import (
	"encoding/json"
	"time"
)

// Record is one decision. It shares nothing with the request that it was made for.
type Record struct {
	DecisionID string
	Path       string          // as in a decision log: firewall/allow
	Input      json.RawMessage // nil: none
	Result     json.RawMessage // nil: undefined, or Error
	Error      string          // instead of a result
	Revision   string          // of the generation that decided; empty: not known
	Time       time.Time       // of the decision
	NDBuiltins json.RawMessage // results of builtins that are not deterministic, as in OPA's nd_builtin_cache; nil: none
	Masked     bool            // something of it was masked or erased: it is not what was asked and answered
	Strict     bool            // an error of a builtin was one of the decision; without it, what called the builtin was undefined

	Branch string  // which clauses held, as a hash; empty: not known
	Shape  string  // of the input, as [ShapeOf] makes it; empty: not known
	Weight float64 // decisions that the record stands for; 0: one
}

// Stratum names the kind of decision that the record is one of.
func (r *Record) Stratum() string {
	result := string(r.Result)
	if len(result) > maxResultInStratum {
		result = ""
	}
	return r.Path + "\x00" + result + "\x00" + r.Error + "\x00" + r.Branch + "\x00" + r.Shape
}

// maxResultInStratum is the length of a result that says itself what kind of decision it is; longer ones differ each time.
const maxResultInStratum = 64

// Bytes is about what the record takes in memory.
func (r *Record) Bytes() int {
	return recordBytes + len(r.DecisionID) + len(r.Path) + len(r.Input) + len(r.Result) + len(r.Error) + len(r.NDBuiltins)
}

// recordBytes is what a record takes beside its texts.
const recordBytes = 320

// weight is the number of decisions that the record stands for.
func (r *Record) weight() float64 {
	if r.Weight <= 0 {
		return 1
	}
	return r.Weight
}
