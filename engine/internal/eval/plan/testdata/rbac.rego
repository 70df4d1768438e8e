package authz

default allow := false

allow if {
	some grant in grants
	grant.action == input.action
	grant.resource == input.resource
	not denied(grant)
}

roles contains role if {
	some user in data.users
	user.name == input.user
	some role in user.roles
}

roles contains role if {
	some user in data.users
	user.name == input.user
	some group in user.groups
	some role in data.groups[group]
}

grants contains grant if {
	some role in roles
	some grant in data.permissions[role]
}

denied(grant) if {
	some d in data.denials
	d.resource == grant.resource
	d.user == input.user
}
