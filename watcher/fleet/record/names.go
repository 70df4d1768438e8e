package record

import (
	"fmt"
	"strings"
)

// The names in JetStream.
const (
	Bucket  = "fleet"     // the KV bucket; a key is a channel
	Stream  = "KV_fleet"  // the stream of the bucket
	Objects = "FLEET_OBJ" // the stream of snapshots and deltas
	Acks    = "FLEET_ACK" // the stream of acknowledgements, and of what controllers say of themselves

	// ObjectSubjects are all subjects of objects.
	ObjectSubjects = "fleet.v1.obj.>"

	announced = "fleet.v1.announce."
	recorded  = "$KV.fleet."
	acked     = "fleet.v1.ack."
	moved     = "fleet.v1.controller."
	snapshots = "fleet.v1.obj.snapshot."
	deltas    = "fleet.v1.obj.delta."
)

// ObserverInbox is where those who only look get their answers, which are what all of them may read. No agent can have this name.
const ObserverInbox = "_INBOX.~observe"

// Limits of messages, in bytes.
const (
	MaxInline = 64 << 10  // of a delta in a record's message
	ChunkSize = 256 << 10 // of a snapshot
)

// MaxChain is the length of [Record.Chain].
const MaxChain = 8

// Subject is where the records of a channel are kept.
func Subject(channel string) string { return recorded + channel }

// AnnounceSubject is where JetStream repeats each new record of a channel.
func AnnounceSubject(channel string) string { return announced + channel }

// AckSubject is where an agent acknowledges; with the agent "*" it is where to listen for all.
func AckSubject(channel, agent string) string { return acked + channel + "." + agent }

// ControllerSubject is where the controllers of a channel say that they run, in the stream [Acks].
func ControllerSubject(channel string) string { return moved + channel }

// SnapshotSubject is where a chunk of the snapshot of a revision is.
func SnapshotSubject(revision string, chunk int) string {
	return fmt.Sprintf("%s%s.%d", snapshots, token(revision), chunk)
}

// DeltaSubject is where the delta between two revisions is.
func DeltaSubject(to, from string) string { return deltas + token(to) + "." + token(from) }

// token is a revision within a subject.
func token(revision string) string { return strings.TrimPrefix(revision, "sha256:") }

// DirectGet is where a server answers with the last message of a subject of a stream. prefix is $JS.API, or that of a
// domain.
func DirectGet(prefix, stream, subject string) string {
	return prefix + ".DIRECT.GET." + stream + "." + subject
}

// CheckName says what is wrong with the name of a channel or an agent. what names it in the error.
func CheckName(what, name string) error {
	const most = 128
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if name == "" || len(name) > most || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
		return fmt.Errorf("%s is %q: up to %d letters, digits, - and _ were expected", what, name, most)
	}
	return nil
}
