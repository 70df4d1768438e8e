# METADATA
# title: Audit
# description: Which audit records are kept, for how long, and where they are sent.
# scope: package
package defenseclaw.audit

decision := {"retain": true, "reason": "severe events are always kept"} if {
	severe
} else := {"retain": false, "reason": "scan results are not kept"} if {
	is_scan_result
	data.audit.log_scan_results == false
} else := {"retain": false, "reason": "only severe events are kept"} if {
	not is_scan_result
	data.audit.log_all_actions == false
} else := {"retain": true, "reason": "records are kept without limit"} if {
	not retention_days > 0
} else := {"retain": true, "reason": "the age is not known"} if {
	not is_number(input.age_days)
} else := {"retain": false, "reason": sprintf("older than %v days", [retention_days])} if {
	input.age_days > retention_days
} else := {"retain": true, "reason": sprintf("not older than %v days", [retention_days])}

retain := decision.retain

retain_reason := decision.reason

# Nothing is lost because of a setting that cannot be read.
retention_days := data.audit.retention_days if is_number(data.audit.retention_days)

default retention_days := 0

severity := upper(trim_space(input.severity)) if is_string(input.severity)

default severity := ""

default severe := false

severe if severity in {"CRITICAL", "HIGH"}

default is_scan_result := false

is_scan_result if {
	is_string(input.event_type)
	startswith(input.event_type, "scan")
}

# What is not kept is not sent anywhere either.
export_to := [t | retain; some t in input.export_targets; is_string(t)]
