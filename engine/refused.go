package engine

import (
	"errors"
	"slices"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/contain"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/source"
)

// A Stage names the part of an attempt that refused the candidate.
type Stage string

// The stages, in the order in which an attempt passes them.
const (
	StageRead      Stage = "read"      // the directory or a file in it could not be read
	StageSignature Stage = "signature" // the files are not what a trusted key signed
	StageParse     Stage = "parse"     // Rego that does not parse, or data that is not JSON, YAML or an object
	StageCompile   Stage = "compile"   // modules that do not fit together, or with the data
	StageCheck     Stage = "check"     // a [Check] refused
	StageReview    Stage = "review"    // [Config].Review refused
	StageDeadline  Stage = "deadline"  // the attempt took too long
	StagePanic     Stage = "panic"     // the attempt crashed and was contained
)

// Refused says why a candidate did not become the current generation. What served before still
// serves. Diagnostics may be empty when Err says it all, as for a missing directory.
type Refused struct {
	Stage       Stage
	Diagnostics diagnostic.List
	Err         error // the cause, if any; may be nil when there are diagnostics

	revision string // of the refused content; empty when it could not be read
	over     string // the revision that served, where that matters: a review compares
}

// Error is one line: the first diagnostic and the number of others, or the cause.
func (r *Refused) Error() string {
	if len(r.Diagnostics) > 0 {
		return r.Diagnostics.Error()
	}
	return r.Err.Error()
}

// Unwrap gives the cause.
func (r *Refused) Unwrap() error { return r.Err }

// Stack is where the attempt crashed when Stage is [StagePanic]: what a report of the fault needs. It is
// nil otherwise.
func (r *Refused) Stack() []byte {
	var crash *contain.Error
	if errors.As(r.Err, &crash) {
		return crash.Stack()
	}
	return nil
}

// starved reports whether the attempt ended because there were no descriptors. r may be nil.
func (r *Refused) starved() bool { return r != nil && source.OutOfDescriptors(r.Err) }

// maybeNoMore reports whether the same content may be sound by now, when that revision serves. r may be nil.
func (r *Refused) maybeNoMore(serving string) bool {
	return r != nil && (r.Stage == StageDeadline || r.Stage == StageReview && r.over != serving)
}

// takenAway reports whether it is about what a [Keep] names. r may be nil.
func (r *Refused) takenAway() bool {
	return r != nil && r.Stage == StageCheck && slices.ContainsFunc(r.Diagnostics, func(d diagnostic.Diagnostic) bool {
		return d.Code == diagnostic.CodePackageRemoved || d.Code == diagnostic.CodeDataRemoved
	})
}

// reviewed reports whether a review refused the candidate. r may be nil.
func (r *Refused) reviewed() bool { return r != nil && r.Stage == StageReview }

// same reports whether r and other refuse the same content for the same reason. Reviews look at more than the content.
func (r *Refused) same(other *Refused) bool {
	if other != nil && r.starved() && other.starved() {
		return true // whichever file it met
	}
	if other == nil || r.Stage != other.Stage || r.revision != other.revision {
		return false
	}
	return r.revision != "" && !r.reviewed() || r.Error() == other.Error() && len(r.Diagnostics) == len(other.Diagnostics)
}

// RefusesBuiltin reports whether no policy may call the builtin of a name, since it reaches out of the process: http.send,
// opa.runtime and net.lookup_ip_addr.
func RefusesBuiltin(name string) bool {
	_, refused := dialect.UnsafeBuiltins[name]
	return refused
}
