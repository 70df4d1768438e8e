// Package audit keeps what the sidecar did in an SQLite database: every reload, every change of the
// block and allow lists, every start and stop, every refused login. The lists lie in the same
// database, so that a change and its record are one transaction.
//
// Most callers need [New], [Log.Run] and [Log.Append]; admission needs [Log.Lists]; the commands of
// a stopped sidecar need [OpenReadOnly].
//
// # What is promised
//
//   - When [Log.Append] returns nil, the record is on disk: it survives a crash of the process and,
//     as far as the disk keeps what it was told to keep, the loss of power.
//   - When it returns a [*NotDurableError], the record is kept in memory and written as soon as
//     writing works again, in its order, unless the error says that it is lost. What is lost is
//     counted, and a record in its place tells how many there were.
//   - Append waits for the disk no longer than its context, whatever the disk does.
//   - Records are chained by hash: [Log.Verify] finds and names what was altered, removed, inserted
//     or moved by somebody who did not also rewrite all that came after it. Whoever can write the
//     file can do that; only a [Head] noted elsewhere tells then.
//   - Retention removes the oldest records only, and leaves a record of it.
//
// # What it does not do
//
// One process at a time may run a [Log] on a database; any number may read it. It does not log, and
// it knows no policy, no engine and no HTTP.
package audit
