package envoy.authz

request := input.attributes.request.http

default allow := {"allowed": false, "http_status": 403, "body": "not allowed\n"}

# Everybody may read what is public. Who the staff are is ours to say, and not the caller's.
allow := {"allowed": true, "request_headers_to_remove": ["x-staff"]} if {
	request.method == "GET"
	input.parsed_path[0] == "public"
}

# Staff may order up to a limit. The service is told for whom, and never sees the caller's key.
allow := {
	"allowed": true,
	"headers": {"x-staff": name},
	"request_headers_to_remove": ["x-api-key"],
} if {
	request.method == "POST"
	input.parsed_path == ["orders"]
	name := data.staff[request.headers["x-api-key"]]
	not input.truncated_body
	input.parsed_body.amount <= 100
}
