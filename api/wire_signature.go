package api

import (
	"time"

	"defenseclaw/engine"
)

// Signature says who signed a policy.
type Signature struct {
	By          string     `json:"by"`          // names of the keys
	Fingerprint string     `json:"fingerprint"` // of them
	Commit      string     `json:"commit,omitempty"`
	CommitTime  *time.Time `json:"commit_time,omitempty"`
}

// SignatureOf is nil where no signature was asked for.
func SignatureOf(v engine.Verified) *Signature {
	if v == (engine.Verified{}) {
		return nil
	}
	return &Signature{v.By, v.Fingerprint, v.Commit, OptionalTime(v.CommitTime)}
}
