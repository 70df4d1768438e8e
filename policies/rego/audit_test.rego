package defenseclaw.audit_test

import data.defenseclaw.audit

settings := {"retention_days": 30, "log_all_actions": true, "log_scan_results": true}

ask(request) := asked(request, {})

asked(request, change) := answer if {
	answer := {"retain": audit.retain, "reason": audit.retain_reason, "to": audit.export_to} with input as request
		with data.audit as object.union(settings, change)
}

test_age if {
	ask({"event_type": "reload", "age_days": 30}) == {"retain": true, "reason": "not older than 30 days", "to": []}
	ask({"event_type": "reload", "age_days": 31}) == {"retain": false, "reason": "older than 30 days", "to": []}
}

test_without_targets_nothing_is_sent if {
	every none in [{}, {"export_targets": null}, {"export_targets": []}] {
		ask(object.union({"event_type": "reload", "age_days": 1}, none)) == {"retain": true, "reason": "not older than 30 days", "to": []}
	}
}

test_severe_events_are_kept if {
	every s in ["CRITICAL", "high", " High "] {
		asked({"event_type": "scan", "severity": s, "age_days": 9999}, {"log_scan_results": false, "log_all_actions": false}).retain
	}
	not ask({"severity": "LOW", "age_days": 9999}).retain
}

test_what_is_logged_is_a_setting if {
	not asked({"event_type": "scan-finished", "age_days": 1}, {"log_scan_results": false}).retain
	asked({"event_type": "reload", "age_days": 1}, {"log_scan_results": false}).retain
	not asked({"event_type": "reload", "age_days": 1}, {"log_all_actions": false}).retain
	asked({"event_type": "scan", "age_days": 1}, {"log_all_actions": false}).retain
}

test_nothing_is_lost_by_a_setting_or_an_age_that_cannot_be_read if {
	every days in [0, -1, "thirty", null] {
		asked({"age_days": 9999}, {"retention_days": days}).retain
	}
	every age in [null, "old"] {
		ask({"age_days": age}).reason == "the age is not known"
	}
	audit.retain with input as {"event_type": 7, "severity": 7} with data.audit as {}
}

test_what_is_kept_is_exported if {
	ask({"age_days": 1, "export_targets": ["siem", 7, "s3"]}).to == ["siem", "s3"]
	ask({"age_days": 99, "export_targets": ["siem"]}).to == []
	ask({"age_days": 1, "export_targets": "siem"}).to == []
}
