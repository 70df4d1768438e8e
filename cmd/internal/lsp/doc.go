// Package lsp is a language server for a policy pack, for editors that speak the Language Server Protocol 3.17. It judges files as
// the sidecar would load them, with the buffers that are not saved yet in their place. Most callers need [Serve].
//
// # What is promised
//
//   - Nothing is written: formatting and renaming are answers, which the editor applies.
//   - What a diagnostic says is what policy validate and policy dev say of the same files.
//   - While a file does not parse, what is known about it is of its last text that did.
package lsp
