package defenseclaw.guardrail_test

import data.defenseclaw.guardrail

settings := {
	"severity_rank": {"NONE": 0, "INFO": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4},
	"block_threshold": 4,
	"alert_threshold": 2,
	"cisco_trust_level": "full",
	"hilt": {"enabled": false, "min_severity": "HIGH"},
}

ask(request) := asked(request, {})

asked(request, change) := answer if {
	answer := {
		"action": guardrail.action, "severity": guardrail.severity,
		"reason": guardrail.reason, "sources": guardrail.scanner_sources,
	} with input as request with data.guardrail as object.union(settings, change)
}

found(severity) := {"severity": severity, "reason": "r"}

# What the sidecar sends for a scanner that said nothing, and for one of whose result everything is missing.
test_null_is_no_result_and_an_empty_one_is_one if {
	empty := {"action": "", "severity": "", "findings": null, "reason": ""}
	ask({"mode": "action", "local_result": null, "cisco_result": null}).reason == "no scanner result to decide by"
	ask({"mode": "action", "local_result": empty, "cisco_result": null}) == {"action": "allow", "severity": "NONE", "reason": "nothing found", "sources": ["local-pattern"]}
	ask({"mode": "action", "local_result": null, "cisco_result": object.union(empty, {"is_safe": false})}).action == "alert"
}

test_thresholds if {
	ask({"mode": "action", "local_result": found("CRITICAL")}) == {"action": "block", "severity": "CRITICAL", "reason": "CRITICAL: r", "sources": ["local-pattern"]}
	ask({"mode": "action", "local_result": found("HIGH")}).action == "alert"
	ask({"mode": "action", "local_result": found("medium ")}).action == "alert"
	ask({"mode": "action", "local_result": found("LOW")}).action == "allow"
	ask({"mode": "action", "local_result": found("NONE")}) == {"action": "allow", "severity": "NONE", "reason": "nothing found", "sources": ["local-pattern"]}
	ask({"mode": "action", "local_result": found("INFO")}).severity == "INFO"
	asked({"mode": "action", "local_result": found("HIGH")}, {"block_threshold": 3}).action == "block"
}

test_the_worst_scanner_decides if {
	got := ask({"mode": "action", "local_result": found("LOW"), "cisco_result": {"severity": "CRITICAL"}})
	got.action == "block"
	got.severity == "CRITICAL"
	got.sources == ["ai-defense", "local-pattern"]
	got.reason == "CRITICAL; LOW: r"
	ask({"local_result": found("NONE"), "cisco_result": found("HIGH")}).sources == ["ai-defense"]
}

test_trust_in_the_remote_scanner if {
	request := {"mode": "action", "local_result": found("NONE"), "cisco_result": found("CRITICAL")}
	asked(request, {"cisco_trust_level": "full"}).action == "block"
	asked(request, {"cisco_trust_level": "advisory"}).action == "alert"
	asked(request, {"cisco_trust_level": "none"}).action == "allow"
	asked(request, {"cisco_trust_level": "nonsense"}).action == "block"
	asked({"local_result": found("CRITICAL"), "cisco_result": found("NONE")}, {"cisco_trust_level": "advisory"}).action == "block"
}

test_the_scanner_mode_says_who_is_heard if {
	both := {"local_result": found("CRITICAL"), "cisco_result": found("LOW")}
	ask(object.union(both, {"scanner_mode": "remote"})).action == "allow"
	ask(object.union(both, {"scanner_mode": "local"})).action == "block"
	ask(object.union(both, {"scanner_mode": "both"})).action == "block"
	ask(object.union(both, {"scanner_mode": ""})).action == "block"
}

test_the_judge_is_heard_in_every_mode if {
	both := {"mode": "action", "local_result": found("LOW"), "judge_result": found("CRITICAL")}
	ask(both).action == "block"
	ask(object.union(both, {"scanner_mode": "remote"})).action == "block"
	ask(object.union(both, {"scanner_mode": "local"})).sources == ["llm-judge", "local-pattern"]
	asked(both, {"cisco_trust_level": "advisory"}).action == "block"
}

test_observing_never_interferes if {
	ask({"mode": "observe", "local_result": found("CRITICAL")}).action == "alert"
	asked({"mode": "observe", "local_result": found("HIGH")}, {"hilt": {"enabled": true}}).action == "alert"
	ask({"mode": "observe", "local_result": found("LOW")}).action == "allow"
}

test_a_person_is_asked if {
	on := {"hilt": {"enabled": true}}
	asked({"mode": "action", "local_result": found("HIGH")}, on).action == "confirm"
	asked({"mode": "action", "local_result": found("MEDIUM")}, on).action == "alert"
	asked({"mode": "action", "local_result": found("CRITICAL")}, on).action == "block"
	asked({"mode": "action", "local_result": found("NONE")}, {"hilt": {"enabled": true, "min_severity": "NONE"}}).action == "allow"
	asked({"mode": "action", "local_result": found("MEDIUM")}, {"hilt": {"enabled": true, "min_severity": 7}}).action == "alert"
}

test_the_requests_own_setting_goes_first if {
	ask({"mode": "action", "local_result": found("HIGH"), "hilt": {"enabled": true}}).action == "confirm"
	ask({"mode": "action", "local_result": found("MEDIUM"), "hilt": {"enabled": true, "min_severity": "medium"}}).action == "confirm"
	asked({"mode": "action", "local_result": found("HIGH"), "hilt": {"enabled": false}}, {"hilt": {"enabled": true}}).action == "alert"
	ask({"mode": "action", "local_result": found("HIGH"), "hilt": "yes"}).action == "alert"
}

test_what_is_not_understood_is_severe if {
	every s in ["ODD", 7, [], true] {
		ask({"mode": "action", "local_result": {"severity": s}}).action == "block"
	}
	ask({"local_result": {"severity": ""}}).severity == "NONE"
	ask({"local_result": {}}).severity == "NONE"
}

test_unsafe_without_a_severity_is_unsafe if {
	ask({"local_result": {"is_safe": false}}).severity == "HIGH"
	ask({"local_result": {"is_safe": false, "severity": "NONE"}}).severity == "HIGH"
	ask({"local_result": {"is_safe": false, "severity": "LOW"}}).severity == "LOW"
	ask({"local_result": {"is_safe": true, "severity": "NONE"}}).severity == "NONE"
}

test_nothing_to_decide_by_is_told if {
	every nothing in [{}, {"local_result": null}, {"local_result": "x", "cisco_result": 7}, {"scanner_mode": "remote", "local_result": found("LOW")}] {
		ask(nothing) == {"action": "alert", "severity": "NONE", "reason": "no scanner result to decide by", "sources": ["opa-policy"]}
	}
}

test_broken_settings_are_strict if {
	guardrail.action == "block" with input as {"mode": "action", "local_result": found("LOW")} with data.guardrail as {}
	asked({"local_result": found("LOW")}, {"block_threshold": "high"}).action == "block"
}
