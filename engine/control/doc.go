// Package control holds what an operator has ordered about the policy that serves: keep it, go back to an earlier one,
// go back unless it is confirmed, wait for an approval. The orders are one small record on disk that is read before the
// first load, so a restart is no way round it.
//
// Most callers need [Open], [Governor.Begin], [Governor.Govern] as the engine's Govern, [Governor.Run], and a method for
// each order: [Governor.Rollback], [Governor.Hold], [Governor.Resume], [Governor.Confirm], [Governor.Approve] and
// [Governor.Reject].
//
// # What is promised
//
//   - While something is pinned, nothing else serves, whatever asks for a reload.
//   - What an approval lets serve is the candidate that was held under its digest. Nothing is read again.
//   - A generation that is not confirmed in time gives way to the last one that was; a clock that is set back does not
//     prolong the time, and neither does a restart.
//   - An order that a caller got an answer to is on disk, or the error says that it is not.
//   - A record that is damaged is put aside. It fails the safe way of the mode: see [Config].Strict.
//   - No file of the policy directory is written.
//
// # What it does not do
//
// It judges no policy: what is sound is the engine's to say. It neither logs nor records: it reports to [Config].Tell.
package control
