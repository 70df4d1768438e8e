package defenseclaw.firewall_test

import data.defenseclaw.firewall

rules := {
	"default_action": "deny",
	"blocked_destinations": ["bad.example", "169.254.169.254", "10.0.0.0/8", "fd00::/8", 7],
	"allowed_domains": ["good.example", "*.star.example", "sub.bad.example", "10.1.1.1"],
	"allowed_ports": [443],
}

ask(destination, port) := answer if {
	answer := firewall.decision with input as {"destination": destination, "port": port}
		with data.firewall as rules
}

rule(destination) := ask(destination, 443).rule_name

test_blocked_comes_first if {
	every d in ["bad.example", "sub.bad.example", "a.b.bad.example", "169.254.169.254", "10.1.1.1", "fd12::1"] {
		ask(d, 443) == {"action": "deny", "rule_name": "block-explicit"}
	}
}

test_a_destination_is_compared_by_its_host if {
	every d in [
		"BAD.example", "bad.example.", "bad.example:443", "https://bad.example/x?y", "https://user@bad.example:8443",
		" bad.example ", "[fd12::1]:443", "[fd12::1]", "http://10.9.9.9:80/",
	] {
		rule(d) == "block-explicit"
	}
}

test_blocked_whatever_the_port if ask("bad.example", 1).rule_name == "block-explicit"

test_allowed_domains_and_their_subdomains if {
	every d in ["good.example", "www.good.example", "x.star.example", "star.example", "GOOD.example.:443"] {
		ask(d, 443) == {"action": "allow", "rule_name": "domain-allowlist"}
	}
}

test_labels_are_whole if {
	every d in ["evilgood.example", "good.example.evil", "good.exampl", "", "example"] {
		ask(d, 443) == {"action": "deny", "rule_name": "default-policy"}
	}
}

test_ports_are_restricted if {
	every port in [80, 0, "443", null] {
		ask("good.example", port) == {"action": "deny", "rule_name": "port-restricted"}
	}
}

test_no_list_of_ports_allows_them_all if {
	firewall.action == "allow" with input as {"destination": "good.example", "port": 1}
		with data.firewall as object.remove(rules, ["allowed_ports"])
}

test_the_default_may_allow if {
	firewall.decision == {"action": "allow", "rule_name": "default-policy"} with input as {"destination": "else.example", "port": 1}
		with data.firewall as {"default_action": "allow"}
}

test_without_a_readable_default_it_denies if {
	every broken in [{}, {"default_action": "maybe"}, {"default_action": true}, {"default_action": null}] {
		firewall.decision == {"action": "deny", "rule_name": "default-deny"} with input as {"destination": "a", "port": 1}
			with data.firewall as broken
	}
}

test_odd_input_is_denied if {
	every odd in [{}, {"destination": null, "port": 443}, {"destination": 7, "port": 443}, {"destination": ["good.example"], "port": 443}] {
		firewall.action == "deny" with input as odd with data.firewall as rules
	}
	firewall.rule_name == "default-policy" with input as {"destination": 7, "port": 443} with data.firewall as rules
}
