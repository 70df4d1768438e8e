package materials

violations contains {"component": c.name, "rule": "licence", "found": id} if {
	some c in input.components
	some id in c.licences
	not id in data.allowed_licences
	not excepted(c, "licence")
}

violations contains {"component": c.name, "rule": "advisory", "found": a.id} if {
	some c in input.components
	some a in data.advisories
	a.package == c.name
	semver.compare(c.version, a.fixed) < 0
	not excepted(c, "advisory")
}

violations contains {"component": c.name, "rule": "banned", "found": data.banned[c.name]} if {
	some c in input.components
	data.banned[c.name]
}

excepted(c, rule) if {
	some e in data.exceptions
	e.component == c.name
	e.rule == rule
}

by_rule[rule] := names if {
	some rule in {"licence", "advisory", "banned"}
	names := {v.component | some v in violations; v.rule == rule}
}

passed if count(violations) == 0

default passed := false

result := {"passed": passed, "violations": count(violations), "by_rule": by_rule}
