// Package oci asks OCI registries for policy bundles, for package bundle to follow.
//
// Most callers need [New] and [Repository.Get].
//
// # What is promised
//
//   - A tag is looked up with one HEAD request, and nothing more is asked for unless it names something new.
//   - The digest of the layer that is the bundle takes the place of an ETag. What is read of a layer ends with an error unless
//     it has that digest and size.
//   - Manifests are bounded before they are read, and so is the number of them that an index may lead to.
//   - Nothing is asked over plain HTTP but at loopback, and there only if [Config.PlainHTTP] says so, wherever a registry
//     redirects to.
//
// # What it does not do
//
// It does not store layers, and does not log. Of the layers of a manifest it takes the one that OPA takes: the first that is a
// gzipped tar archive.
package oci
