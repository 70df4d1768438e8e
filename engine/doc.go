// Package engine turns a directory of Rego and data into a [Generation] that answers decisions, and
// replaces it, whole, when asked.
//
// Most callers need [New], [Engine.Run], [Engine.Reload] and, for each decision, [Engine.Current]
// and [Generation.Decide]. To check a directory without serving it, call [Load].
//
// Package source reads the directory, and internal/parse makes modules and data of its files. internal/compile
// makes a policy of the modules, and internal/eval decides by it. The rooms below them have one task each:
// advice (hints for errors), builtins, contain (panics), dialect, jsonast, store, turns, unit (the package graph).
//
// # What is promised
//
//   - The last good policy always serves. A reload reads, parses, compiles and checks a candidate
//     while the previous generation serves. One pointer moves if all of that succeeds. After any
//     failure, a crash or a passed deadline included, the previous generation goes on serving.
//   - A decision uses one generation from beginning to end, policy and data together. It reads no
//     file and waits for no reload.
//   - A report of [Engine.Reload] speaks of files that were read after it was called.
//   - Every error of a candidate is reported, with its file, line, column and source line.
//   - Nothing in the policy directory is written, moved or removed, ever.
//
// # What it does not do
//
// It does not watch the directory: its caller calls [Engine.Reload]. It does not log, does not speak
// HTTP, and starts no goroutine that outlives [Engine.Run] or the call it serves.
//
// # What counts as policy
//
// Every *.rego file below the directory, or below its rego folder when that has any; data.json (or
// .yaml, .yml), whose content lands under its folder's path; at the root data-sandbox.json, and what the
// source names as [source.Overlaid], whose top-level keys replace data.json's. Hidden files and folders, editors' temporary and backup
// files, and everything else are ignored; *_test.rego files are for [LoadSuite] only. [source.Relevant]
// answers for one path.
package engine
