// Package signature verifies that a policy directory holds what a trusted key signed: its file .signatures.json is that
// of an OPA bundle, made by policy sign or opa sign.
//
// Most callers need [ParseKey] and [NewRelease]; [Release.Verify] is an engine.Verify. [Signer.Sign] and [Signer.SignBundle]
// make signatures.
//
// # What is promised
//
//   - What is verified is the bytes that were read for a candidate, never a file that is opened again.
//   - Every policy, data and test file is among what was signed and has the listed hash, and nothing that was signed and
//     would be loaded is missing. Files of other names count for nothing, here as in the engine.
//   - The algorithm is that of the key, whatever the signature says of itself. A signature names its key and its scope,
//     and both are asked for: one made for another purpose with the same key is refused.
//   - There is one file of signatures, in the root of the directory, with one signature.
//   - Claims exp and nbf are obeyed when a candidate is loaded. What serves already is not taken away.
//
// Hashes of data.json, data.yaml and data.yml are those of OPA: of what they say, not of their spelling. So white space in
// them is not protected, and what they mean is.
package signature
