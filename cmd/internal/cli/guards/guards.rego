# Guards: what must not change unseen. They judge each change of this policy, by its review (docs/how-to/hold-changes.md).
# The guards that serve judge the change that edits them. Delete what you do not need, and add what you do.
#
#   deny   the change must not serve
#   hold   a person must approve it
#   warn   people should know
#
# "policy validate" knows what input has here, and names what it never has. guards.schema.json says it to editors.
package system.reload

# Decisions that were denied and become allowed are the gravest mistake. Name the paths where that must never happen.
deny contains msg if {
	some g in input.replay.groups
	g.kind == "deny_to_allow"
	startswith(g.path, "billing/")
	msg := sprintf("%d decisions of %s become allowed%s", [g.count, g.path, by(g.cause)])
}

deny contains "more than 0.5 % of the decisions change" if {
	input.replay.replayed >= 200
	input.replay.share.flips > 0.005
}

deny contains {"msg": sprintf("%s is true by default", [d.path]), "code": "allowed_by_default", "path": d.path} if {
	some d in input.defaults
	d.after == true
	object.get(d, "before", false) != true
}

deny contains "the data shrinks by more than half" if input.data_size.after * 2 < input.data_size.before

deny contains sprintf("%s is called now: policies should not sign", [name]) if {
	some name in input.builtins.added
	startswith(name, "io.jwt.encode")
}

hold contains sprintf("package %s is gone", [name]) if {
	not input.first
	some name in input.packages.removed
}

hold contains {"msg": sprintf("%s becomes allowed for %s", [f.path, json.marshal(f.input)]), "path": f.path} if {
	some f in input.probe.found
	f.kind == "deny_to_allow"
}

hold contains "the guards themselves change" if {
	some name in array.concat(input.packages.changed, input.packages.removed)
	name == "data.system.reload"
}

warn contains sprintf("test %s is gone", [name]) if some name in input.tests.removed

warn contains {"msg": sprintf("%s takes %v times as long", [s.path, round(s.factor)]), "path": s.path} if {
	some s in input.replay.slower
	s.factor >= 2
}

by(cause) := sprintf(", by %s", [cause.rule]) if cause.rule

else := sprintf(", by %s", [cause.data]) if cause.data

else := ""
