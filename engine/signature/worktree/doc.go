// Package worktree verifies that a policy directory is what a signed commit of git holds: HEAD's commit, or an annotated tag
// of it, is signed by a trusted key, and every file has the bytes that this commit's tree has at its path.
//
// Most callers need [New] with [ParseAllowedSigners] or [ParseKeyring]; [Worktree.Verify] is an engine.Verify. No program
// is run, nothing is written, and no hook, filter or setting of the repository has a say.
//
// # What is promised
//
//   - The bytes of commit and tag objects are verified as they lie in the repository, not as a library would write them
//     again. What is then read of them, the tree's hash first of all, is read from the part that is signed.
//   - Trees are hashed when they are read, and so are the bytes of the files that were read for the candidate. Blobs are not
//     read at all. Hashes are SHA-1, which git has, by a function that notices its known attacks.
//   - Every policy, data and test file is in the commit, and none that the commit has and that would be loaded is missing.
//   - Linked work trees, packed references and objects, alternates, a detached HEAD and a policy in a folder of the
//     repository are taken. Repositories with SHA-256 or with reftables are refused with a reason.
//
// A file that git changes when it checks it out, by core.autocrlf or a filter, is not what the commit has, and is refused.
package worktree
