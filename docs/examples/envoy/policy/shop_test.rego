package envoy.authz_test

import data.envoy.authz

order(key, amount) := {
	"attributes": {"request": {"http": {"method": "POST", "headers": {"x-api-key": key}}}},
	"parsed_path": ["orders"],
	"parsed_body": {"amount": amount},
	"truncated_body": false,
}

test_staff_order_up_to_the_limit if {
	authz.allow.headers == {"x-staff": "ada"} with input as order("k", 100) with data.staff as {"k": "ada"}
	not authz.allow.allowed with input as order("k", 101) with data.staff as {"k": "ada"}
	not authz.allow.allowed with input as order("other", 1) with data.staff as {"k": "ada"}
	not authz.allow.allowed with input as object.union(order("k", 1), {"truncated_body": true}) with data.staff as {"k": "ada"}
}

test_everybody_reads_what_is_public if {
	authz.allow.allowed with input as {"attributes": {"request": {"http": {"method": "GET"}}}, "parsed_path": ["public", "x"]}
	not authz.allow.allowed with input as {"attributes": {"request": {"http": {"method": "GET"}}}, "parsed_path": ["private"]}
}
