package decisionlog

// Event is the type of what is written, for its comparison with OPA's.
type Event = event
