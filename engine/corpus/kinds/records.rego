package records

reachable := graph.reachable(data.organisation, {input.user.unit})

visible contains record.id if {
	some record in input.records
	record.unit in reachable
	levels[record.classification] <= levels[input.user.clearance]
}

levels := {"public": 0, "internal": 1, "confidential": 2, "secret": 3}

hidden contains name if {
	some name, scopes in data.fields
	not any_scope(scopes)
}

any_scope(scopes) if {
	some scope in input.user.scopes
	scope in scopes
}

rows := [row |
	some record in input.records
	record.id in visible
	row := object.union(object.remove(record, hidden), masked(record))
]

masked(record) := {"mail": sprintf("%s***@%s", [substring(parts[0], 0, 1), parts[1]])} if {
	not "mail" in hidden
	parts := split(record.mail, "@")
	count(parts) == 2
} else := {}

result := {"rows": rows, "hidden": count(input.records) - count(visible)}
