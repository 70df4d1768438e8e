// Package reviewer finds out what a change does, in a process of its own: [Reviewer.Review] has the same program, at the
// lowest priority, load the policy before and after the change, and make [review.Evidence] of both. Most callers need [New],
// [Reviewer.Run] and Review; [Serve] is the program of the process.
//
// # What is promised
//
//   - Evidence is of the very bytes that the caller's generations were made of: the process compares their revisions.
//   - What does not end well is named in Incomplete, with the reason: a crash, a lack of memory, silence, the end of the
//     time. What was complete before stays. There is never a wrong part.
//   - One review runs at a time. When its context ends, Review returns at once, and the process stops the work, or is
//     killed.
//   - A change that ended the process three times is not reviewed for five minutes.
//   - The process is started when it is first needed, and ends when it was idle, or when its starter ends, however that
//     ends. It has no environment but Go's own variables, no descriptors but its pipes, and on Linux a limit of its memory.
//
// The package does not log: it reports each end through [Config].Ended.
package reviewer
