# METADATA
# title: Guardrail
# description: >-
#   What happens to a prompt or completion after the scanners looked at it: allow, alert, block, or
#   confirm, which asks a person.
# scope: package
package defenseclaw.guardrail

# What each scanner says, as far as it is to be heard.
heard["local"] := rated(input.local_result) if {
	is_object(input.local_result)
	not input.scanner_mode == "remote"
}

heard["cisco"] := rated(input.cisco_result) if {
	is_object(input.cisco_result)
	not input.scanner_mode == "local"
	trust != "none"
}

# The sidecar's own judge, where it is on: it is asked whatever the scanner mode.
heard["judge"] := rated(input.judge_result) if is_object(input.judge_result)

trust := level if {
	level := data.guardrail.cisco_trust_level
	level in {"full", "advisory", "none"}
} else := "full"

# METADATA
# description: A severity and its rank. One that nobody knows ranks as high as any.
rated(result) := {"severity": name, "rank": rank(name), "reason": object.get(result, "reason", "")} if {
	name := severity_of(result)
}

severity_of(result) := name if {
	is_string(result.severity)
	name := upper(trim_space(result.severity))
	is_number(data.guardrail.severity_rank[name])
	not contradicts(result, name)
} else := "HIGH" if {
	contradicts(result, "NONE")
} else := "NONE" if {
	object.get(result, "severity", "") in {"", null}
} else := "CRITICAL"

# Unsafe without a severity is unsafe.
contradicts(result, name) if {
	object.get(result, "is_safe", true) == false
	rank(name) == 0
	object.get(result, "severity", "") in {"", null, "NONE", "none"}
}

rank(name) := known if {
	known := data.guardrail.severity_rank[name]
	is_number(known)
} else := highest_rank

default highest_rank := 4

highest_rank := max([r | some r in data.guardrail.severity_rank; is_number(r)])

worst := max([r.rank | some r in heard])

default worst := 0

# An advisory scanner may alarm, but not block by itself.
worst_blocking := max([r.rank | some name, r in heard; not advisory(name)])

default worst_blocking := 0

advisory("cisco") if trust == "advisory"

effective_severity := min([r.severity | some r in heard; r.rank == worst]) if count(heard) > 0

default effective_severity := "NONE"

severity := effective_severity

# Thresholds that are not numbers are the strictest.
threshold(name) := set_to if {
	set_to := data.guardrail[name]
	is_number(set_to)
} else := 1

# The sidecar's setting (guardrail.hilt in config.yaml), which it always sends, goes before that of the data. The data's is
# for those who ask without a sidecar.
hilt := object.union(hilt_of(settings), hilt_of(input))

settings := data.guardrail

default settings := {}

hilt_of(holder) := holder.hilt if {
	is_object(holder.hilt)
} else := {}

confirm_from := rank(upper(hilt.min_severity)) if is_string(hilt.min_severity)

default confirm_from := 3

wanted := "block" if {
	worst_blocking >= threshold("block_threshold")
} else := "confirm" if {
	object.get(hilt, "enabled", false) == true
	worst >= confirm_from
	worst > 0
} else := "alert" if {
	worst >= threshold("alert_threshold")
} else := "alert" if {
	count(heard) == 0
} else := "allow"

# Observing never interferes.
action := "alert" if {
	input.mode == "observe"
	wanted in {"block", "confirm"}
} else := wanted

reason := "no scanner result to decide by" if {
	count(heard) == 0
} else := "nothing found" if {
	worst == 0
} else := concat("; ", [text | some r in heard; r.rank > 0; text := said(r)])

said(r) := r.severity if {
	r.reason in {"", null}
} else := sprintf("%s: %v", [r.severity, r.reason])

source_names := {"local": "local-pattern", "cisco": "ai-defense", "judge": "llm-judge"}

loud := [source_names[name] | some name, r in heard; r.rank > 0]

scanner_sources := loud if {
	count(loud) > 0
} else := ["opa-policy"] if {
	count(heard) == 0
} else := [source_names[name] | some name, _ in heard]
