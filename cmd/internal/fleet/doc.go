// Package fleet is the side of a fleet that says what it serves: it publishes releases, moves the records of channels, and
// reads what agents acknowledge. Package watcher/fleet is the other side.
//
// A [Link] is a connection to the broker. [Link.Now] reads what a channel says, [Link.Publish] makes a release and the record
// that asks for it, [Link.Move] is the compare-and-set beneath, which a rollout uses as well. [Link.Follow] fills a [View] with
// acknowledgements, and [Judge] says of a View how far a record has come.
//
// The broker may lose its leader at any moment, so each request has a time-out of its own and is made again until the
// caller's context ends. Where it is not known whether a record was written, the leader is asked.
package fleet
