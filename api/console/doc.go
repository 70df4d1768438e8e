// Package console serves the pages by which people see what serves, what an edit would do, and undo it. Most callers need
// [New], which makes an [api.Console].
//
// # What is promised
//
//   - It shows and does what the routes of the API show and do, by calling them within the process with the rights of
//     who signed in: nothing here can do more than the token that signed in, and nothing once that is not valid any more.
//   - A browser signs in by a code, which is made for the holder of a token and works once within a minute, or by the
//     token itself. The session is a cookie that lasts eight hours at most, and is gone with the process.
//   - Whatever changes something needs the session, its form value, and the page's own origin.
//   - Pages load nothing from anywhere else, and nothing in them that a policy, an input or a caller wrote is markup.
//   - Pages wait for one another before decisions wait for them: few are made at a time.
//
// All of it is safe for use by several goroutines.
package console
