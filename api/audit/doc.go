// Package audit records in an SQLite database what the sidecar did: every reload, every change of the
// block and allow lists, every start and stop, every refused login. The lists are in the same database,
// so that a change and its record are one transaction.
//
// Most callers need [New], [Log.Run] and [Log.Append]; admission needs [Log.Lists]; the commands of
// a stopped sidecar need [OpenReadOnly].
//
// # What is promised
//
//   - When [Log.Append] returns nil, the record is on disk: it survives a crash of the process and, if
//     the disk honors a sync, the loss of power.
//   - When it returns a [*NotDurableError], the record stays in memory and is written, in order, as soon
//     as writing works again, unless the error says that it is lost. Lost records are counted, and a
//     record in their position says how many there were.
//   - Append returns when its context ends, even if the disk hangs.
//   - Records are chained by hash: [Log.Verify] finds and names each record that was altered, removed,
//     inserted or moved, unless all later records were rewritten too. Only a [Head] stored elsewhere
//     reveals such a rewrite.
//   - Retention removes only the oldest records, and records that it did. It is an alarm that size removes one before its age.
//   - Before each write, and every few seconds, the end of the chain is compared with the one in memory: another writer, or
//     records removed from the end, are on record and an alarm ([Config.Alarm]).
//   - A small file next to the database lets the next start notice that the database was removed, replaced or put back while
//     nothing ran. Lists that are not those of the last stop do not decide until an operator accepts them.
//
// # What it does not do
//
// It does not lock out a second [Log]: only one process may run one on a database, and any number may read
// it. It writes no log, and has nothing to do with policies, the engine or HTTP.
package audit
