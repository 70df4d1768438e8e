// Package record is what travels between who publishes policy and the agents that follow it: records, which say what a
// channel is to serve, acknowledgements, and the names under which both are in NATS JetStream.
//
// A [Record] is signed as a note of golang.org/x/mod/sumdb/note. [Seal] makes the message, [Open] verifies it. A key has a
// role: [Release] keys sign what agents may serve at all; [Stage] keys can only choose between revisions that carry the
// signature of a release key, in [Record.Releases].
//
// Everything here is a function of its arguments, and safe to call from several goroutines.
package record
