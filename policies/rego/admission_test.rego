package defenseclaw.admission_test

import data.defenseclaw.admission

target := {"target_type": "skill", "target_name": "helper", "path": "/home/u/skills/helper"}

actions := {
	"HIGH": {"runtime": "block", "file": "quarantine", "install": "block"},
	"MEDIUM": {"runtime": "allow", "file": "none", "install": "none"},
	"LOW": {"runtime": "allow", "file": "none", "install": "block"},
}

first_party := [
	{"target_type": "skill", "target_name": "helper", "source_path_contains": ["x/own/helper", "helper", "own", "", "/", 7]},
	{"target_type": "skill", "target_name": "nowhere", "reason": "no path"},
]

config := {"allow_list_bypass_scan": true, "scan_on_install": true}

ask(more) := asked(more, config)

asked(more, settings) := answer if {
	answer := admission.decision with input as object.union(target, more)
		with data.config as settings
		with data.actions as actions
		with data.scanner_overrides as {"mcp": {"MEDIUM": {"runtime": "block"}}, "yara": {"MEDIUM": {"install": "block"}}}
		with data.first_party_allow_list as first_party
}

listed := {"target_type": "skill", "target_name": "helper", "reason": "because"}

scanned(result) := ask({"scan_result": result})

test_the_block_list_goes_before_everything if {
	got := ask({"block_list": [listed], "allow_list": [listed], "path": "/x/own/helper", "scan_result": {"total_findings": 0}})
	got == {"verdict": "blocked", "reason": "because", "file_action": "none", "install_action": "block", "runtime_action": "block"}
}

test_a_reason_is_always_given if {
	ask({"block_list": [object.remove(listed, ["reason"])]}).reason == "on the block list"
	ask({"allow_list": [object.union(listed, {"reason": ""})]}).reason == "on the allow list"
	ask({"path": "/x/own/helper"}).reason == "first-party"
}

test_the_allow_list_goes_before_the_scan if {
	got := ask({"allow_list": [listed], "scan_result": {"total_findings": 3, "max_severity": "HIGH"}})
	got == {"verdict": "allowed", "reason": "because", "file_action": "none", "install_action": "allow", "runtime_action": "allow"}
}

test_lists_compare_type_and_name if {
	every other in [{"target_name": "helper"}, {"target_type": "mcp", "target_name": "helper"}, {"target_type": "skill", "target_name": "Helper"}, 7, null] {
		ask({"block_list": [other]}).verdict == "scan"
		ask({"allow_list": [other]}).verdict == "scan"
	}
	ask({"block_list": null, "allow_list": "helper"}).verdict == "scan"
}

test_an_allow_entry_may_be_bound_to_a_path if {
	bound := object.union(listed, {"source_path": "/home/u/skills/"})
	ask({"allow_list": [bound]}).verdict == "allowed"
	ask({"allow_list": [object.union(bound, {"source_path": "/home/u/skills/helper"})]}).verdict == "allowed"
	every path in ["/home/u/skills-evil/helper", "/home/u/skills/../evil", "/home/u", "", 7] {
		ask({"allow_list": [bound], "path": path}).verdict == "scan"
	}
	ask({"allow_list": [object.union(bound, {"source_path": 7})]}).verdict == "scan"
}

test_first_party_is_the_end_of_the_path_in_whole_parts if {
	every path in ["/x/own/helper", "x/own/helper", "/home/u/x/own/helper", "/x/own/helper/", "/x//own/./helper"] {
		ask({"path": path}).verdict == "allowed"
	}
	every path in [
		"/x/own", "/x/own/", "/x/own/evil", "/x/own/helper/evil", "/x/own/helper-evil", "/x/own/evil-helper", "/ax/own/helper",
		"/x/owner/helper", "/x/own/../evil", "/x/own//..", "/x/own/helper/..", "/x/own/helper/../helper", "/helper", "helper", "own/helper",
		"/x/own/Helper", "/xxown/helper", `\x\own\helper`, "/x/own/helper ", "", "/", 7, null, ["x", "own", "helper"],
	] {
		ask({"path": path}).verdict == "scan"
	}
}

# Where the connectors keep what is ours. The tests hold these, not data.json, which a site may change.
homes := [
	{"target_type": "plugin", "target_name": "defenseclaw", "source_path_contains": [
		".openclaw/extensions/defenseclaw", ".zeptoclaw/extensions/defenseclaw", ".claude/extensions/defenseclaw",
		".codex/extensions/defenseclaw", ".config/amp/plugins/defenseclaw.ts",
	]},
	{"target_type": "skill", "target_name": "codeguard", "source_path_contains": [
		".openclaw/workspace/skills/codeguard", ".openclaw/skills/codeguard", ".zeptoclaw/skills/codeguard",
		".claude/skills/codeguard", ".codex/skills/codeguard",
	]},
]

at_home(entry, path, more) := answer if {
	asked_for := {"target_type": entry.target_type, "target_name": entry.target_name, "path": path}
	answer := admission.verdict with input as object.union(asked_for, more)
		with data.config as config
		with data.actions as object.union(actions, {"CRITICAL": {"runtime": "block", "file": "quarantine", "install": "block"}})
		with data.scanner_overrides as {}
		with data.first_party_allow_list as homes
}

test_each_marker_trusts_its_leaf_alone if {
	every entry in homes {
		every marker in entry.source_path_contains {
			leaf := concat("", ["/home/u/", marker])
			folder := substring(leaf, 0, count(leaf) - count(regex.find_n(`/[^/]+$`, leaf, 1)[0]))
			at_home(entry, leaf, {}) == "allowed"
			at_home(entry, leaf, {"scan_result": {"total_findings": 1, "max_severity": "CRITICAL"}}) == "rejected"
			at_home(entry, leaf, {"target_name": "other"}) == "scan"
			every suffix in ["", "/", "/evil-sibling", "/../evil", "/./..", "/evil/../x"] {
				at_home(entry, concat("", [folder, suffix]), {}) == "scan"
			}
			every suffix in ["/evil", "-evil", ".bak", "/..", "/../x", "x", " "] {
				at_home(entry, concat("", [leaf, suffix]), {}) == "scan"
			}
			at_home(entry, concat("", ["/home/u/x", marker]), {}) == "scan"
		}
	}
}

test_a_marker_of_one_kind_is_none_of_another if {
	some plugin in homes
	plugin.target_type == "plugin"
	some skill in homes
	skill.target_type == "skill"
	every marker in plugin.source_path_contains {
		at_home(skill, concat("", ["/home/u/", marker]), {}) == "scan"
	}
}

test_a_dot_of_a_first_party_marker_is_a_dot if {
	dotted := [{"target_type": "skill", "target_name": "helper", "source_path_contains": [".own/helper"]}]
	admission.verdict == "allowed" with input as object.union(target, {"path": "/u/.own/helper"})
		with data.config as config
		with data.first_party_allow_list as dotted
	every path in ["/u/xown/helper", "/u/a.own/helper", "/u/own/helper"] {
		admission.verdict == "scan" with input as object.union(target, {"path": path})
			with data.config as config
			with data.first_party_allow_list as dotted
	}
}

test_the_scan_goes_before_first_party if {
	ours := {"path": "/x/own/helper"}
	ask(object.union(ours, {"scan_result": {"total_findings": 1, "max_severity": "HIGH"}})).verdict == "rejected"
	ask(object.union(ours, {"scan_result": {"total_findings": 0, "scan_error": "timeout"}})).verdict == "rejected"
	ask(object.union(ours, {"scan_result": {"total_findings": 1, "max_severity": "MEDIUM"}})).verdict == "warning"
	ask(object.union(ours, {"scan_result": {"total_findings": 0}})).verdict == "clean"
	ask(object.union(ours, {"scan_result": null})).verdict == "allowed"
}

test_first_party_needs_name_path_and_bypass if {
	ask({"path": "/x/own/helper"}).verdict == "allowed"
	ask({"path": "/x/own/helper", "target_name": "other"}).verdict == "scan"
	ask({"path": "/own/", "target_name": "nowhere"}).verdict == "scan"
	asked({"path": "/x/own/helper"}, object.union(config, {"allow_list_bypass_scan": false})).verdict == "scan"
}

test_not_scanned_yet if {
	ask({}) == {"verdict": "scan", "reason": "not scanned yet", "file_action": "none", "install_action": "none", "runtime_action": "block"}
	ask({"scan_result": null}).verdict == "scan"
	asked({}, object.union(config, {"scan_on_install": false})).verdict == "allowed"
	asked({}, {}).verdict == "scan"
}

test_a_failed_scan_is_never_clean if {
	every broken in [
		{"total_findings": 0, "scan_error": "timeout"},
		{"total_findings": 0, "scan_error": true},
		{"total_findings": 0, "exit_code": 1},
		{"total_findings": 0, "exit_code": "0"},
		{"total_findings": -1},
		{"total_findings": "0"},
		{"max_severity": "NONE"},
		{},
	] {
		got := scanned(broken)
		got.verdict == "rejected"
		got.install_action == "block"
		got.runtime_action == "block"
		startswith(got.reason, "the scan failed: ")
	}
}

test_clean if {
	every good in [
		{"total_findings": 0},
		{"total_findings": 0, "exit_code": 0, "scan_error": "", "max_severity": "INFO", "findings": []},
		{"findings": []},
		{"total_findings": 0, "exit_code": null, "scan_error": null},
	] {
		scanned(good) == {"verdict": "clean", "reason": "the scan found nothing", "file_action": "none", "install_action": "allow", "runtime_action": "allow"}
	}
}

test_a_report_that_contradicts_itself_is_not_clean if {
	scanned({"total_findings": 0, "findings": [{"severity": "HIGH"}], "max_severity": "HIGH"}).verdict == "rejected"
	scanned({"findings": [1, 2], "max_severity": "MEDIUM"}).reason == "2 findings, the worst MEDIUM"
}

test_severity_decides if {
	scanned({"total_findings": 2, "max_severity": "high"}) == {
		"verdict": "rejected", "reason": "2 findings, the worst HIGH",
		"file_action": "quarantine", "install_action": "block", "runtime_action": "block",
	}
	scanned({"total_findings": 1, "max_severity": "MEDIUM"}) == {
		"verdict": "warning", "reason": "1 findings, the worst MEDIUM",
		"file_action": "none", "install_action": "none", "runtime_action": "allow",
	}
	scanned({"total_findings": 1, "max_severity": "LOW"}).verdict == "rejected"
}

test_an_unknown_severity_is_severe if {
	every s in ["", "ODD", null, 7] {
		got := scanned({"total_findings": 1, "max_severity": s})
		got.verdict == "rejected"
		got.runtime_action == "block"
	}
	scanned({"total_findings": 1}).verdict == "rejected"
}

test_overrides_by_target_and_scanner if {
	ask({"target_type": "mcp", "scan_result": {"total_findings": 1, "max_severity": "MEDIUM"}}).verdict == "rejected"
	scanned({"total_findings": 1, "max_severity": "MEDIUM", "scanner_name": "yara"}).verdict == "rejected"
	scanned({"total_findings": 1, "max_severity": "MEDIUM", "scanner_name": "other"}).verdict == "warning"
}

test_the_answer_is_spelt_out if {
	admission.verdict == "scan" with input as target with data.config as config with data.first_party_allow_list as []
	admission.reason == "not scanned yet" with input as target with data.config as config with data.first_party_allow_list as []
	admission.file_action == "none" with input as target with data.config as config with data.first_party_allow_list as []
	admission.install_action == "none" with input as target with data.config as config with data.first_party_allow_list as []
	admission.runtime_action == "block" with input as target with data.config as config with data.first_party_allow_list as []
}
