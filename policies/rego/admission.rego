# METADATA
# title: Admission
# description: >-
#   May a skill, plugin or MCP server be installed and run? Lists come first, then the scan. What
#   is not known to be good is not admitted.
# scope: package
package defenseclaw.admission

import data.defenseclaw.skill_actions

# The answer is one of these, in this order; the first that holds decides. What was scanned is decided by the scan, also
# where it is first-party: a thing of ours may have been replaced.
decision := blocked if {
	some entry in object.get(request, "block_list", [])
	same_target(entry)
	blocked := answer("blocked", entry_reason(entry, "on the block list"), "none", "block", "block")
} else := allowed if {
	some entry in object.get(request, "allow_list", [])
	same_target(entry)
	from_listed_path(entry)
	allowed := answer("allowed", entry_reason(entry, "on the allow list"), "none", "allow", "allow")
} else := allowed if {
	not scan
	data.config.allow_list_bypass_scan
	some entry in data.first_party_allow_list
	same_target(entry)
	from_first_party_path(entry)
	allowed := answer("allowed", entry_reason(entry, "first-party"), "none", "allow", "allow")
} else := answer("allowed", "scanning on install is turned off", "none", "allow", "allow") if {
	not scan
	data.config.scan_on_install == false
} else := answer("scan", "not scanned yet", "none", "none", "block") if {
	not scan
} else := answer("rejected", sprintf("the scan failed: %s", [concat("; ", sort(failures))]), "none", "block", "block") if {
	count(failures) > 0
} else := answer("clean", "the scan found nothing", "none", "allow", "allow") if {
	findings == 0
} else := answer("rejected", found, actions.file, actions.install, actions.runtime) if {
	refused
} else := answer("warning", found, actions.file, actions.install, actions.runtime)

verdict := decision.verdict

reason := decision.reason

file_action := decision.file_action

install_action := decision.install_action

runtime_action := decision.runtime_action

answer(verdict, reason, file, install, runtime) := {
	"verdict": verdict,
	"reason": reason,
	"file_action": file,
	"install_action": install,
	"runtime_action": runtime,
}

# Lists

same_target(entry) if {
	entry.target_type == input.target_type
	entry.target_name == input.target_name
}

# An allow entry with a source path holds for what comes from there only.
from_listed_path(entry) if object.get(entry, "source_path", "") == ""

from_listed_path(entry) if {
	is_string(entry.source_path)
	folder := trim_suffix(entry.source_path, "/")
	startswith(concat("", [path, "/"]), concat("", [folder, "/"]))
}

# A first-party entry must name where the thing itself lies: a name alone is easily taken, and a folder of others' things
# is no place of ours. So the path must end with the parts of a marker, each of them whole, and at least two.
from_first_party_path(entry) if {
	some marker in entry.source_path_contains
	is_string(marker)
	wanted := parts(marker)
	count(wanted) > 1
	got := parts(path)
	array.slice(got, max([0, count(got) - count(wanted)]), count(got)) == wanted
}

parts(place) := [part | some part in split(place, "/"); not part in {"", "."}]

# A path that climbs is not where it seems to be.
path := input.path if {
	is_string(input.path)
	not ".." in split(input.path, "/")
}

entry_reason(entry, otherwise) := entry.reason if {
	is_string(entry.reason)
	entry.reason != ""
} else := otherwise

# The scan

scan := input.scan_result if is_object(input.scan_result)

failures contains sprintf("%v", [scan.scan_error]) if not scan_error in {"", null, false}

failures contains sprintf("exit code %v", [scan.exit_code]) if not object.get(scan, "exit_code", 0) in {0, null}

failures contains "the number of findings is missing" if not counted

failures contains "the number of findings is negative" if scan.total_findings < 0

scan_error := object.get(scan, "scan_error", "")

listed := scan.findings if is_array(scan.findings)

default listed := []

counted if is_number(findings)

# The larger of the two counts: a report that contradicts itself is not clean.
findings := max([scan.total_findings, count(listed)]) if is_number(scan.total_findings)

findings := count(listed) if {
	not is_number(object.get(scan, "total_findings", null))
	is_array(scan.findings)
}

severity := upper(trim_space(scan.max_severity)) if is_string(scan.max_severity)

default severity := ""

named_severity := severity if severity != ""

default named_severity := "UNKNOWN"

actions := object.union(
	{"runtime": "block", "file": "none", "install": "none"},
	skill_actions.actions_for(named_severity, object.get(request, "target_type", ""), object.get(scan, "scanner_name", "")),
)

default refused := false

refused if actions.runtime != "allow"

refused if actions.install == "block"

found := sprintf("%v findings, the worst %s", [findings, named_severity])

# Input that is no object asks for nothing.
request := input if is_object(input)

default request := {}
