package defenseclaw.skill_actions_test

import data.defenseclaw.skill_actions

table := {
	"HIGH": {"runtime": "block", "file": "quarantine", "install": "block"},
	"MEDIUM": {"runtime": "allow", "file": "none", "install": "none"},
	"BROKEN": "block",
}

overrides := {"mcp": {"MEDIUM": {"runtime": "block"}, "BROKEN": 1}, "yara": {"MEDIUM": {"file": "quarantine", "runtime": "allow"}}}

ask(request) := answer if {
	answer := {
		"runtime": skill_actions.runtime_action,
		"file": skill_actions.file_action,
		"install": skill_actions.install_action,
		"block": skill_actions.should_block,
		"no_install": skill_actions.should_block_install,
		"quarantine": skill_actions.should_quarantine,
	} with input as request with data.actions as table with data.scanner_overrides as overrides
}

severe := {"runtime": "block", "file": "quarantine", "install": "block", "block": true, "no_install": true, "quarantine": true}

mild := {"runtime": "allow", "file": "none", "install": "none", "block": false, "no_install": false, "quarantine": false}

test_a_kind_of_target_that_is_left_out_is_as_one_without_overrides if {
	every none in [{}, {"target_type": ""}, {"target_type": "skill"}] {
		ask(object.union({"severity": "MEDIUM"}, none)) == mild
	}
}

test_by_severity if {
	ask({"severity": "HIGH"}) == severe
	ask({"severity": "MEDIUM"}) == mild
}

test_case_and_space_do_not_matter if {
	ask({"severity": " high "}) == severe
	ask({"severity": "Medium", "target_type": "skill"}) == mild
}

test_an_unknown_severity_is_the_worst if {
	every s in ["", "ODD", null, 7, [], "BROKEN"] {
		ask({"severity": s}) == severe
	}
	ask({}) == severe
	ask("not an object") == severe
}

test_an_override_by_target_goes_before_one_by_scanner if {
	ask({"severity": "MEDIUM", "target_type": "mcp"}) == object.union(mild, {"runtime": "block", "block": true})
	ask({"severity": "MEDIUM", "scanner_name": "yara"}) == object.union(mild, {"file": "quarantine", "quarantine": true})
	ask({"severity": "MEDIUM", "target_type": "mcp", "scanner_name": "yara"}).runtime == "block"
}

test_no_data_at_all_blocks if {
	skill_actions.should_block with input as {"severity": "LOW"} with data.actions as {} with data.scanner_overrides as {}
}
