package system.reload_test

import data.system.reload

# The review of a change that changes nothing; each test changes a part of it.
quiet := {
	"first": false,
	"packages": {"added": [], "removed": [], "changed": [], "affected": []},
	"defaults": [],
	"data_size": {"before": 100, "after": 100},
	"builtins": {"added": []},
	"tests": {"added": [], "removed": []},
}

changed(part) := object.union(quiet, part)

replay(part) := {"replay": object.union({"replayed": 1000, "share": {"flips": 0}, "groups": [], "slower": []}, part)}

test_a_quiet_change_passes if {
	count(reload.deny) == 0 with input as quiet
	count(reload.hold) == 0 with input as quiet
	count(reload.warn) == 0 with input as quiet
}

test_billing_must_not_become_allowed if {
	group := {"path": "billing/refund", "kind": "deny_to_allow", "count": 3, "cause": {"rule": "data.billing.refund"}}
	reload.deny == {"3 decisions of billing/refund become allowed, by data.billing.refund"} with input as changed(replay({"groups": [group]}))
	other := object.union(group, {"path": "reports/read"})
	count(reload.deny) == 0 with input as changed(replay({"groups": [other]}))
}

test_a_group_may_have_no_cause if {
	group := {"path": "billing/refund", "kind": "deny_to_allow", "count": 1, "cause": {}}
	reload.deny == {"1 decisions of billing/refund become allowed"} with input as changed(replay({"groups": [group]}))
}

test_few_decisions_may_change if {
	count(reload.deny) == 1 with input as changed(replay({"share": {"flips": 0.006}}))
	count(reload.deny) == 0 with input as changed(replay({"share": {"flips": 0.004}}))
	count(reload.deny) == 0 with input as changed(replay({"share": {"flips": 0.5}, "replayed": 10}))
}

test_nothing_becomes_allowed_by_default if {
	some entry in reload.deny with input as changed({"defaults": [{"path": "data.app.allow", "before": false, "after": true}]})
	entry.code == "allowed_by_default"
	count(reload.deny) == 1 with input as changed({"defaults": [{"path": "data.app.allow", "after": true}]})
	count(reload.deny) == 0 with input as changed({"defaults": [{"path": "data.app.allow", "before": true, "after": true}]})
	count(reload.deny) == 0 with input as changed({"defaults": [{"path": "data.app.allow", "before": true, "after": false}]})
}

test_the_data_may_not_shrink_by_more_than_half if {
	count(reload.deny) == 1 with input as changed({"data_size": {"before": 100, "after": 49}})
	count(reload.deny) == 0 with input as changed({"data_size": {"before": 100, "after": 50}})
}

test_policies_do_not_sign if {
	count(reload.deny) == 1 with input as changed({"builtins": {"added": ["io.jwt.encode_sign"]}})
	count(reload.deny) == 0 with input as changed({"builtins": {"added": ["io.jwt.decode"]}})
}

test_a_package_that_goes_waits_for_an_approval if {
	part := {"packages": {"added": [], "removed": ["data.app"], "changed": [], "affected": []}}
	reload.hold == {"package data.app is gone"} with input as changed(part)
}

test_an_input_that_becomes_allowed_waits_for_an_approval if {
	found := {"path": "app/allow", "kind": "deny_to_allow", "input": {"role": "x"}}
	some entry in reload.hold with input as changed({"probe": {"found": [found]}})
	entry.msg == `app/allow becomes allowed for {"role":"x"}`
	count(reload.hold) == 0 with input as changed({"probe": {"found": [object.union(found, {"kind": "allow_to_deny"})]}})
}

test_a_change_of_the_guards_waits_for_an_approval if {
	part := {"packages": {"added": [], "removed": [], "changed": ["data.system.reload"], "affected": []}}
	reload.hold == {"the guards themselves change"} with input as changed(part)
}

test_people_know_of_tests_that_are_gone if {
	reload.warn == {"test data.app.test_x is gone"} with input as changed({"tests": {"added": [], "removed": ["data.app.test_x"]}})
}

test_people_know_of_what_becomes_slow if {
	count(reload.warn) == 1 with input as changed(replay({"slower": [{"path": "app/allow", "factor": 2.4}]}))
	count(reload.warn) == 0 with input as changed(replay({"slower": [{"path": "app/allow", "factor": 1.5}]}))
}
