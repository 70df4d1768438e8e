package example_test

import data.example

test_an_admin_may_do_everything if {
	example.allow with input as {"user": "ada", "method": "DELETE"}
}

test_a_reader_may_only_read if {
	example.allow with input as {"user": "bob", "method": "GET"}
	not example.allow with input as {"user": "bob", "method": "DELETE"}
}

test_nobody_else_may_anything if {
	not example.allow with input as {"user": "eve", "method": "GET"}
}
