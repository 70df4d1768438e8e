# METADATA
# title: Skill actions
# description: What to do about something whose scan found a given severity.
# scope: package
package defenseclaw.skill_actions

# A severity that the data does not know is treated as the worst: a scanner that says something
# new must not thereby let something through.
fail_closed := {"runtime": "block", "file": "quarantine", "install": "block"}

# METADATA
# description: >-
#   The actions for a severity: an override for the kind of target, then one for the scanner, then
#   the general table. An override need not name all three actions.
actions_for(severity, target_type, scanner) := object.union_n([
	general(normal(severity)),
	override(scanner, normal(severity)),
	override(target_type, normal(severity)),
])

general(severity) := known if {
	known := data.actions[severity]
	is_object(known)
} else := fail_closed

override(name, severity) := known if {
	known := data.scanner_overrides[name][severity]
	is_object(known)
} else := {}

normal(severity) := upper(trim_space(severity)) if {
	is_string(severity)
} else := "UNKNOWN"

decided := actions_for(
	object.get(request, "severity", ""),
	object.get(request, "target_type", ""),
	object.get(request, "scanner_name", ""),
)

runtime_action := object.get(decided, "runtime", "block")

file_action := object.get(decided, "file", "none")

install_action := object.get(decided, "install", "none")

default should_block := false

should_block if runtime_action != "allow"

should_block if should_block_install

default should_block_install := false

should_block_install if install_action == "block"

default should_quarantine := false

should_quarantine if file_action == "quarantine"

# Input that is no object asks for nothing.
request := input if is_object(input)

default request := {}
