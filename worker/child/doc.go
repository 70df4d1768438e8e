// Package child starts processes of this same program that hold policies, and gives them what they hold: the pool of
// package worker and the reviewer have such processes.
//
// [Start] is the starter's side, and [Holder] that of the process. They speak [net/rpc] through two pipes.
//
// # What is promised
//
//   - A process has a policy of the very bytes that its starter's own was made of, compared by its revision, or none.
//     It is given only the files that differ from those of a policy that it holds.
//   - A process ends when its starter does, however that ends: its pipe ends, and on Linux the kernel kills it.
//   - It has no environment but Go's own variables and what its starter names, so no token, and no descriptors but the
//     pipes.
//   - On Linux, [Serving] bounds its memory. Elsewhere, only Go's collector aims at the limit.
package child
