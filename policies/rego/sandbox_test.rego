package defenseclaw.sandbox_test

import data.defenseclaw.sandbox

settings := {
	"default_permissions": ["read", "network"],
	"denied_endpoints_global": ["metadata.internal", "169.254.169.254", 7],
	"allowed_skills": ["a", "b", 7],
	"denied_skills": ["b"],
}

request := {
	"skill_name": "s",
	"requested_endpoints": ["api.example", "https://METADATA.internal./x", "x.metadata.internal:80", "http://u@169.254.169.254/", 7],
	"requested_permissions": ["read", "root", "network", 7],
}

test_endpoints_that_are_denied_everywhere if {
	sandbox.allowed_endpoints == ["api.example"] with input as request with data.sandbox as settings
	sandbox.denied_from_request == ["https://METADATA.internal./x", "x.metadata.internal:80", "http://u@169.254.169.254/"] with input as request
		with data.sandbox as settings
	sandbox.denied_endpoints == ["metadata.internal", "169.254.169.254"] with input as request with data.sandbox as settings
}

test_who_asks_for_nothing_gets_nothing if {
	every none in [null, []] {
		nothing := {"skill_name": "s", "requested_endpoints": none, "requested_permissions": none}
		sandbox.allowed_endpoints == [] with input as nothing with data.sandbox as settings
		sandbox.denied_from_request == [] with input as nothing with data.sandbox as settings
		sandbox.permissions == [] with input as nothing with data.sandbox as settings
	}
}

test_a_list_of_allowed_endpoints_is_a_limit if {
	limited := object.union(settings, {"allowed_endpoints": ["example", "metadata.internal"]})
	asked := ["api.example", "notexample", "metadata.internal", "[::1]:80"]
	sandbox.allowed_endpoints == ["api.example"] with input.requested_endpoints as asked with data.sandbox as limited
	sandbox.denied_from_request == ["notexample", "metadata.internal", "[::1]:80"] with input.requested_endpoints as asked with data.sandbox as limited
}

test_permissions_are_those_asked_for_and_allowed if {
	sandbox.permissions == ["read", "network"] with input as request with data.sandbox as settings
	sandbox.permissions == [] with input as request with data.sandbox as {}
}

test_skills if {
	sandbox.allowed_skills == ["a"] with input as request with data.sandbox as settings
	sandbox.denied_skills == ["b"] with input as request with data.sandbox as settings
}

test_odd_input_gets_nothing if {
	every odd in [{}, {"requested_endpoints": "api.example", "requested_permissions": null}, {"requested_endpoints": [null], "requested_permissions": [[]]}] {
		sandbox.allowed_endpoints == [] with input as odd with data.sandbox as settings
		sandbox.denied_from_request == [] with input as odd with data.sandbox as settings
		sandbox.permissions == [] with input as odd with data.sandbox as settings
	}
}

test_the_answer_has_a_version if sandbox.version == 1
