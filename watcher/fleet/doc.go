// Package fleet follows a channel of a fleet, as package watcher follows a directory: each new release is a
// [watcher.Change], and [Agent.FS] is what a reload reads. What a channel is to serve is a signed record in NATS JetStream
// (package record); docs/explanation/fleet.md describes the whole.
//
// Most callers need [New], [Agent.Run] and [Agent.FS].
//
// # What is promised
//
//   - Nothing is offered whose record no trusted key signed, whose epoch is not higher than all before it, or whose files
//     are not those of the signed revision.
//   - Records may come late, twice and in any order, pushed and asked for: the one with the highest epoch counts.
//   - What is offered is on disk first, whole, with its record and its epoch. A process that is killed at any moment finds
//     the release that it had acknowledged, or a newer one.
//   - One acknowledgement is under way at a time, and says what is so when it is sent.
//   - A server that is away, for however long, takes nothing away from what serves.
//   - The last contact is measured by a clock that nobody sets, from the moment the request was sent.
//
// # What it does not do
//
// It knows no policy and does not log: the functions of [Config] compute revisions, make directories, load and count, and
// are told what happened.
package fleet
