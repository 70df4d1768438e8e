// Package engine turns a directory of Rego and data into a [Generation] that answers decisions, and
// replaces it, whole, when asked.
//
// Most callers need [New], [Engine.Run], [Engine.Reload] and, for each decision, [Engine.Current]
// and [Generation.Decide]. Whoever wants to know whether a directory is good policy, without
// serving it, calls [Load].
//
// # What is promised
//
//   - The last good policy always serves. A reload reads, parses, compiles and checks a candidate
//     beside the generation that serves; only when all of that went well does one pointer move. On
//     any failure, a crash or a passed deadline included, nothing has changed.
//   - A decision uses one generation from beginning to end, policy and data together. It reads no
//     file and waits for no reload.
//   - A report of [Engine.Reload] speaks of files that were read after it was called.
//   - Every error of a candidate is reported, with its file, line, column and source line.
//   - Nothing in the policy directory is written, moved or removed, ever.
//
// # What it does not do
//
// It does not watch: somebody calls Reload. It does not log, and starts no goroutine that outlives
// [Engine.Run] or the call it serves. It knows no HTTP.
//
// # What counts as policy
//
// Every *.rego file below the directory, or below its rego folder when that has any; data.json (or
// .yaml, .yml), whose content lands under its folder's path; at the root data-*.json, whose
// top-level keys replace data.json's. Hidden files and folders, editors' temporary and backup
// files, and everything else are ignored; *_test.rego files are for [LoadSuite] only. [Relevant]
// says this of one path.
package engine
