# METADATA
# title: Sandbox
# description: >-
#   Which endpoints and permissions a skill gets of those it asks for: no more than it asks for,
#   and no more than is allowed.
# scope: package
package defenseclaw.sandbox

version := 1

requested_endpoints := [e | some e in input.requested_endpoints; is_string(e)]

requested_permissions := [p | some p in input.requested_permissions; is_string(p)]

denied_endpoints := [e | some e in data.sandbox.denied_endpoints_global; is_string(e)]

denied_from_request := [e | some e in requested_endpoints; not allowed(e)]

allowed_endpoints := [e | some e in requested_endpoints; allowed(e)]

allowed(endpoint) if {
	not denied(endpoint)
	on_allow_list(endpoint)
}

denied(endpoint) if {
	some pattern in denied_endpoints
	covers(pattern, endpoint)
}

# Without a list of allowed endpoints everything that is not denied is allowed.
on_allow_list(_) if not limited

on_allow_list(endpoint) if {
	some pattern in data.sandbox.allowed_endpoints
	covers(pattern, endpoint)
}

limited if is_array(data.sandbox.allowed_endpoints)

covers(pattern, endpoint) if host(pattern) == host(endpoint)

covers(pattern, endpoint) if endswith(host(endpoint), concat("", [".", host(pattern)]))

# Without scheme, user, port, path, case and final dot.
host(endpoint) := h if {
	found := regex.find_all_string_submatch_n(
		`^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^:/?#]*)`,
		lower(trim_space(endpoint)), 1,
	)
	h := trim_right(found[0][1], ".")
}

permissions := [p | some p in requested_permissions; p in data.sandbox.default_permissions]

denied_skills := [s | some s in data.sandbox.denied_skills; is_string(s)]

allowed_skills := [s | some s in data.sandbox.allowed_skills; is_string(s); not s in denied_skills]
