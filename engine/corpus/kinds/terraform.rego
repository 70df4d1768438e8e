package terraform.review

weights := {
	"aws_instance": {"create": 1, "update": 1, "delete": 10},
	"aws_iam_role": {"create": 10, "update": 20, "delete": 5},
	"aws_s3_bucket": {"create": 2, "update": 3, "delete": 50},
	"aws_security_group": {"create": 5, "update": 8, "delete": 4},
}

changes[kind] := list if {
	some kind in kinds
	list := [change | some change in input.resource_changes; change.type == kind]
}

kinds contains change.type if some change in input.resource_changes

counts[kind][action] := n if {
	some kind, list in changes
	some action in ["create", "update", "delete"]
	n := count([1 | some change in list; action in change.change.actions])
}

scores[kind] := total if {
	some kind in kinds
	total := sum([points |
		some action, n in counts[kind]
		points := object.get(weights, [kind, action], 3) * n
	])
}

score := sum([s | some s in scores])

open_groups := {change.address |
	some change in changes.aws_security_group
	some rule in change.change.after.ingress
	"0.0.0.0/0" in rule.cidr_blocks
	not rule.from_port in {80, 443}
}

untagged := [change.address |
	some change in input.resource_changes
	not change.change.after.tags.owner
	not "delete" in change.change.actions
]

default approved := false

approved if {
	score < 500
	count(open_groups) == 0
	count(untagged) < 10
}

result := {"score": score, "scores": scores, "counts": counts, "open": open_groups, "untagged": untagged, "approved": approved}
