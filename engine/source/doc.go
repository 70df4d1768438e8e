// Package source reads a policy directory: which files count, what they hold, and that all of it was there
// at one moment. It knows names, stats and bytes; it does not parse.
//
// Most callers need [Open] and hand the [Dir] to engine.Load. [Read] is the engine's way in.
//
// # Invariants
//
//  1. A [Reading] is what the directory held at one moment. Every file is read between two looks at the
//     directory, and the second look must find the names, sizes, modification times and identities of the
//     first. Otherwise the reading starts again; after five tries the error wraps [ErrUnsettled].
//  2. A file is taken from an earlier reading without being opened only if its path, size, modification
//     time, change time (on Linux) and identity are the same, and both times are older than two seconds before that
//     reading began. Two writes within one tick of a file system's clock leave the same times; so a
//     younger stat proves nothing.
//  3. The earlier listing of a directory is used only if events watch it, none named it, its own stat
//     passes the test of invariant 2, all of its files pass that, too, and it holds no
//     symbolic link: what a link leads to changes without it.
//  4. The stat of a directory may be skipped in the first look only. The second look stats every directory,
//     so a name that comes or goes is seen without an event. A write in place leaves the directory's stat
//     as it was; for that, listings that are used again rely on the write having produced an event.
//  5. Nothing is written, and nothing outside the directory is opened unless [Config].AllowOutside asks
//     for it. A FIFO or a device does not block, and is an error.
//  6. The same paths and bytes give the same revision on every machine.
//  7. Equal bytes at the same path are held once: a file that was read again with the bytes of the reading
//     before shares them, and their hash.
//  8. What is ignored, and why, is a hint for people. It is no part of the revision, two readings of the same policy
//     may have different lists, and no error comes of making one. The first look collects it, with no stat that
//     the look does not make anyway; outside the rego folder its cost is bounded.
//  9. What is [Lasting] is taken from an earlier reading where its stat is the same value, whatever asked for the reading
//     and however young it is; that value stands for content that never changes. Invariants 2 to 4 are about all else.
//
// # Example
//
// The directory holds a/p.rego, a/q.rego and b/data.json, all an hour old. An earlier reading R1 holds
// them. An editor writes a/p.rego in place, and an event names it, so the caller passes
//
//	Earlier{Reading: R1, Previous: R1, Changed: {a/p.rego}, ChangedDirs: {a}}
//
// The first look lists a, since it is in ChangedDirs. It finds a/q.rego with the stat it had and takes it
// from R1; a/p.rego is in Changed, so it is not taken, whatever its stat says. b is not even looked at:
// R1 knows what it holds. Then a/p.rego is opened and read; its bytes differ from R1's, so they are hashed.
// The second look stats ".", a and b, lists a once more, and takes b's listing from R1 because b's stat is
// the same (invariants 3 and 4). Both looks agree, so R2 holds the new a/p.rego, and the very *File values
// of R1 for the other two. An edit costs one read.
//
// A full check, or a reload that a person asked for, passes no Reading, only Previous: a stat can be made
// to lie, so every file is opened and compared with the bytes of R1 (invariant 7).
package source
