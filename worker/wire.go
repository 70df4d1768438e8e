package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"defenseclaw/engine"
)

// serviceMethod names of [net/rpc]; see service for what they do.
const (
	serviceName    = "worker"
	methodEvaluate = serviceName + ".Evaluate"
)

// Question is what a worker is to evaluate.
type Question struct {
	Generation uint64
	Timeout    time.Duration
	Requester  string    // see [engine.WithRequester]
	Prints     bool      // what the policy prints is wanted: see [engine.WithPrinter]
	Request    *Request  // nil: a decision is asked for
	Decision   *Decision // nil: a request is made
}

// Decision is a decision by a path.
type Decision struct {
	Path     []string
	HasInput bool
	Input    []byte // JSON
	Lenient  bool
}

// Request is an HTTP request.
type Request struct {
	Method string
	URL    string // path and query
	Header http.Header
	Body   []byte
}

// Answer is how an evaluation ended.
type Answer struct {
	NotHeld  bool // the worker does not hold the generation; nothing was evaluated
	Response *Response
	Result   []byte // of a decision, as JSON; empty if it is undefined
	Failure  *Failure
	Printed  []engine.Printed // where it was wanted
	printed  int              // bytes of it, and of what had no room
}

// Response answers a [Request].
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// key identifies what was asked, whatever generation was to answer it.
type key struct {
	Path string
	Hash [sha256.Size]byte // of the input: for a request, of its query string and body
}

func (k key) hash() string { return hex.EncodeToString(k.Hash[:]) }
