// Package worker evaluates in processes of its own: a policy or a query that ends such a process, by a stack
// overflow or for lack of memory, ends neither the sidecar nor, for long, the service.
//
// [Pool] is the sidecar's side, a supervisor of two processes of the same program: one evaluates, the other is
// its loaded spare. [Serve] is a process's side. Most callers need [New], [Pool.Run], [Pool.RoundTrip] and
// [Pool.Prepare].
//
// # What is promised
//
//   - A process evaluates by the generation that the caller names, made of the very bytes that the sidecar's
//     own was made of and compared by its revision, or not at all.
//   - When a process ends, what it was evaluating is an [engine.Unavailable], and the spare takes over.
//   - What a process was evaluating when it ended is asked once more only alone, in the spare, and after its
//     third end it is refused for five minutes: an *[engine.Unavailable] that wraps [ErrRefused].
//   - An evaluation that cannot be interrupted is left behind at its deadline, and counted. When as many hang
//     as a process has places, it is ended and replaced.
//   - A process ends when the sidecar does, however that ends: its pipe ends, and on Linux the kernel kills it.
//   - A process has no environment but Go's own variables, so no token; no descriptors but the pipes; and, on Linux,
//     a limit of its memory.
//
// The package does not log: it reports each end through [Config].Ended.
package worker
