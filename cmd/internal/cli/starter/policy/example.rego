package example

# Everything is denied but what a rule below allows.
default allow := false

allow if input.user in data.admins

allow if {
	input.method == "GET"
	input.user in data.readers
}
