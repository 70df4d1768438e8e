// Package api is the sidecar's HTTP side: requests in, engine calls, answers out.
//
// [New] makes a [Server] over an engine, [Server.Run] serves a listener until its context ends and
// then drains it. [Client] is what the commands use to talk to a running sidecar; both sides share
// the structs of wire.go.
//
// # Who may call
//
// GET /health and GET /health/ready are open. Every other request passes the checks of package gate
// (429, 401, 403, 415), then the policy's system.authz, if there is one (401), then the method (405)
// and the size of the body (413).
//
// # Rooms
//
// Each protocol is a package of its own: opa, authzen, extauthz and domains. They share
// internal/decision, and import neither this package nor each other; [Server] hands them what they need
// as functions.
//
// # What is stable
//
// Routes, status codes and field names are; fields may be added. Error answers are
// {"error":"…"}; those under /v1, where OPA's clients call, are OPA's {"code":…,"message":…}.
package api
