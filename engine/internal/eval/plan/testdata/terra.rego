package terraform

weights := {
	"aws_autoscaling_group": {"delete": 100, "create": 10, "modify": 1},
	"aws_instance": {"delete": 10, "create": 1, "modify": 1},
	"aws_iam": {"delete": 30, "create": 20, "modify": 15},
	"aws_s3_bucket": {"delete": 50, "create": 2, "modify": 3},
}

resources[kind] := all if {
	some kind, _ in weights
	all := [r | some r in input.resource_changes; r.type == kind]
}

creates[kind] := num if {
	some kind, all in resources
	num := count([r | some r in all; "create" in r.change.actions])
}

deletes[kind] := num if {
	some kind, all in resources
	num := count([r | some r in all; "delete" in r.change.actions])
}

modifies[kind] := num if {
	some kind, all in resources
	num := count([r | some r in all; "update" in r.change.actions])
}

score := s if {
	all := [x |
		some kind, w in weights
		x := ((w["delete"] * deletes[kind]) + (w.create * creates[kind])) + (w.modify * modifies[kind])
	]
	s := sum(all)
}

touches_iam if resources.aws_iam[_]

tagless contains r.address if {
	some r in input.resource_changes
	not r.change.after.tags.owner
}

review := {"score": score, "iam": touches_iam_value, "tagless": count(tagless), "auto": auto}

default touches_iam_value := false

touches_iam_value if count(resources.aws_iam) > 0

default auto := false

auto if {
	score < 200
	not touches_iam
}
