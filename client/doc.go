// Package client asks a DefenseClaw sidecar for decisions. It needs the standard library and nothing else.
//
// Most callers need [New] with an empty [Config], and [Client.Allowed] or [Client.Decide]:
//
//	c, err := client.New(client.Config{})
//	…
//	allowed, err := c.Allowed(ctx, "app/allow", map[string]any{"user": "ada"})
//
// An empty Config finds the sidecar and the token where the commands of the sidecar find them, see [Config]. config.yaml is not
// read: what only it names has to be given.
//
// # Who is asked
//
// A request and its token go to a listener that may be trusted and to no other. Over the Unix socket in the data directory that is
// a process of the same user or of root, by the kernel's word (on Linux; elsewhere the modes of the directory have to do).
// Over plain HTTP the listener first proves, on each new connection, that it holds the token, which works on one machine. Over TLS
// it has a certificate. Otherwise nothing is sent, and the error is an [UntrustedError]. No proxy is used.
//
// # What is tried again
//
// A decision changes nothing, so that it may be asked for again. It is, within the time of the call, where nothing was sent, where
// the connection broke before the answer, and where the sidecar turned the request away with Retry-After (429, 503). It is not
// where the policy failed or took too long: it would again.
//
// # What stays
//
// The package is versioned with the sidecar and works with every sidecar whose API it asks: `POST /v1/data` and
// `POST /v1/batch/data`.
package client
