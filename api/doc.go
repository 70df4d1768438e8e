// Package api is the sidecar's HTTP side: requests in, engine calls, answers out.
//
// [New] makes a [Server] over an engine, [Server.Run] serves a listener until its context ends and
// then drains it. [Client] is what the commands use to talk to a running sidecar; both sides share
// the structs of wire.go.
//
// # Who may call
//
// GET /health and GET /health/ready are open. Everything else passes these gates, in this order:
// the token (401), the Host, Origin, Sec-Fetch-Site and, on routes that change something, the
// X-DefenseClaw-Client header (403), the content type of a body (415), the method (405), the size
// of the body (413). access.go names the attack that each gate stands against.
//
// # What is stable
//
// Routes, status codes and field names are; fields may be added. Error answers are
// {"error":"…"}; those under /v1, where OPA's clients call, are OPA's {"code":…,"message":…}.
package api
