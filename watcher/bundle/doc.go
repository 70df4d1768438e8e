// Package bundle follows policy bundles on HTTP servers, as package watcher follows a directory: each new version is a
// [watcher.Change], and [Source.FS] is what a reload reads.
//
// Most callers need [New], [Source.Run] and [Source.FS].
//
// # What is promised
//
//   - A bundle is asked for with the ETag of the last one, and one that has not changed is not sent again. That of a bundle
//     that was not taken counts too: it is fetched once.
//   - Where the server offers it (the content type application/vnd.openpolicyagent.bundles), a request waits there for the
//     next version; else it is repeated every [Config.Poll], more or less, so that many that were started together do
//     not ask together.
//   - After an error, the pauses double up to [Config.Poll], and what a server says in Retry-After is kept to.
//   - What was fetched is handed over whole: [Source.FS] never mixes two versions, nor one version of a bundle with an
//     unfinished other.
//   - [Health.Contact] is measured by a clock that nobody sets, from the moment the request was sent.
//
// # What it does not do
//
// It does not know what a bundle holds, and does not log: [Config.Unpack] makes a directory of it, and [Config.Changed] is
// told.
package bundle
