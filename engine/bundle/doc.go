// Package bundle reads policy bundles as OPA's users build them, makes a policy directory of them, and packs bundles.
//
// Most callers need [Read] and [Tree], or [TreeAfter] for the next version; [Write] makes a bundle.
//
// # What is promised
//
//   - What a bundle holds is bounded before it is allocated, and nothing of it leads out of its directory.
//   - The bytes of a bundle's files are those of the tree: whoever verifies them verifies what is loaded.
//   - Files outside of the roots that a manifest declares are refused, as OPA refuses them, and so are two bundles with
//     overlapping roots.
//   - What this program does not take (WebAssembly, delta bundles, Rego v0) is refused by name.
//
// # What it does not do
//
// It parses no module but for its package, and fetches nothing. Files that OPA has no use for are left out, and so are
// tests and files that only this program would take for overlays: a bundle means here what it means to OPA.
package bundle
