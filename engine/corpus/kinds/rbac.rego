package access.rbac

default allow := false

allow if {
	every request in requests {
		granted(request)
	}
}

requests := input.requests

roles contains role if some role in data.users[input.user].roles

roles contains role if {
	some group in data.users[input.user].groups
	some role in data.groups[group].roles
}

grants contains grant if {
	some role in roles
	some grant in data.roles[role]
	not denied(input.user, grant)
}

denied(user, grant) if {
	some denial in data.denials
	denial.user == user
	denial.resource == grant.resource
	grant.action in denial.actions
}

granted(request) if {
	some grant in grants
	grant.resource == request.resource
	grant.action == request.action
}

answer := {"allow": allow, "roles": roles, "grants": count(grants)}
