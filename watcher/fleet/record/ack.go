package record

import "time"

// AckState is what an agent did with a record.
type AckState string

// The states.
const (
	Applied AckState = "applied" // it serves what the record asks of it
	Ready   AckState = "ready"   // it has loaded and checked what the record prepares
	Refused AckState = "refused" // it serves what it did before: see [Ack.Code] and [Ack.Error]
	Waiting AckState = "waiting" // it has no files yet, or what it holds waits for a person
)

// Code is why an agent refused.
type Code string

// The codes.
const (
	CodeSignature Code = "bad_signature"
	CodeFuture    Code = "future"
	CodeExpired   Code = "expired"
	CodeFormat    Code = "format"
	CodeHash      Code = "wrong_hash" // the files are not those of the signed revision
	CodeMissing   Code = "missing"    // the objects of the revision cannot be fetched
	CodeLimits    Code = "limits"     // more files or bytes than the agent takes
	CodePolicy    Code = "policy"     // it does not compile, or a check refused it
)

// How often an agent repeats its acknowledgement: see [Record.Watched].
const (
	Beat        = time.Minute
	WatchedBeat = 10 * time.Second
)

// Ack is what an agent says of itself. The newest of an agent replaces the ones before.
type Ack struct {
	Agent    string            `json:"agent"`
	Instance string            `json:"instance"` // random for each start: two that alternate are two agents with one name
	Channel  string            `json:"channel"`
	Epoch    uint64            `json:"epoch"`  // of the newest record that it has seen and verified
	Serves   string            `json:"serves"` // a revision; empty: nothing
	Wanted   string            `json:"wanted"` // the revision that the record asks of it
	State    AckState          `json:"state"`
	Code     Code              `json:"code,omitempty"`
	Error    string            `json:"error,omitempty"`
	Kept     bool              `json:"kept"`  // what it serves is on its disk
	Floor    uint64            `json:"floor"` // it takes no record whose epoch is not higher
	Keys     []string          `json:"keys"`  // see [Keys.Names]
	Version  string            `json:"version"`
	Labels   map[string]string `json:"labels,omitempty"`
	Since    time.Time         `json:"since"` // when State began
	Sent     time.Time         `json:"sent"`
	Counters Counters          `json:"counters"`
	Age      float64           `json:"source_age_s"` // since the last contact before this one
	Stale    Stale             `json:"stale,omitzero"`
}

// Stale is what an agent does once it has not heard from the broker for too long.
type Stale struct {
	After  float64 `json:"after_s"` // 0: it goes on for ever
	Action string  `json:"action"`  // serve, unready or refuse
}

// StaleRefuse is the action of an agent that answers nobody once it is stale.
const StaleRefuse = "refuse"

// Counters are of the time since the agent serves what it serves.
type Counters struct {
	Decisions uint64  `json:"decisions"`
	Errors    uint64  `json:"errors"`
	Denied    uint64  `json:"denied"`
	P99       float64 `json:"p99_ms"`
	Flips     uint64  `json:"flips"` // of replayed decisions
	Replayed  uint64  `json:"replayed"`
}
