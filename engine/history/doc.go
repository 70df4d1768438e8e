// Package history keeps the generations that served on disk, so that the last good policy outlives
// the process. Each is a standard OPA bundle that `opa eval -b FILE` answers from, and a source for
// [engine.Load] that gives a generation of the same revision.
//
// Most callers need [New], [NewKeeper], [Keeper.Run] and [Keeper.Announce] to keep what serves,
// [Store.Newest] to get it back, and [Store.Records], [Store.Find] and [Store.Open] to look at what served when.
//
// # What is promised
//
//   - An entry has its final name only when all of it is on disk and was read back. A crash at any
//     moment leaves whole entries and perhaps a hidden temporary file, which the next Save removes.
//   - What a reader hands out was read to its last byte, and its files hash to the revision that its
//     manifest and its name tell. Anything else is an error that says why, and [Store.Newest] goes
//     on to the entry before.
//   - A damaged entry is evidence and is not removed while a sound one of its age would be kept; it
//     never takes a sound one's place.
//   - Keeping happens away from the reload, at a tenth of one processor. A full or read-only disk is an error in
//     [Keeper.Health] and a later attempt, nothing else.
//   - The same generation and record give the same bytes.
//   - A number is given once, over all restarts and crashes. A damaged or missing index is made anew from the
//     entries, and Config.Notice is told.
//   - An edit waits for none of this.
//
// # What it does not do
//
// It does not decide when to restore or what then is called restored: that is [engine.Engine.Reload]
// with a source. One process at a time may save into a directory; any number may read.
//
// # An entry
//
// Its file is called TIME-REVISION.tar.gz: when the generation began to serve, in UTC, and the first
// twelve digits of its revision. Names sort by age, whatever the clock did. In it lie
//
//	.manifest     revision, roots [""], rego_version 1; as metadata: format, generation, loaded_at,
//	              version (of the program), root (the folder of the policy directory that held the
//	              policy: "." or "rego"), merged, seq (its number), trigger and actor
//	the files     under their paths relative to root, byte for byte as they served
//
// so that unpacking it gives the policy directory back. Where OPA would make other data of the data
// files than the engine does (it knows no data-*.json, and no byte order mark), merged is true: then
// data.json holds the whole document, for OPA, and every data file lies beside it under its own name
// with ".source" appended, which OPA's bundle reader passes over. [Entry.FS] gives the files under
// their own names in either case.
//
// # The index
//
// index.jsonl has a record of each generation that served, also of those whose entries are swept: when, why, by whom
// and what it changed. It also has the hashes of the rules and places of data that each changed,
// from which [Store.Blame] tells who changed what. Each line is a change to one record, with a checksum, and is on disk before the record is shown.
// Half a line at the end is what a crash leaves, and is dropped. Any other damage has the file put aside as
// index.damaged.jsonl, and what it lacks read from the manifests of the entries, which have the numbers too.
package history
