# METADATA
# title: Firewall
# description: >-
#   May something connect to a destination? Blocked destinations come first, then allowed domains
#   on allowed ports, then the default.
# scope: package
package defenseclaw.firewall

decision := {"action": "deny", "rule_name": "block-explicit"} if {
	some pattern in listed("blocked_destinations")
	matches(pattern)
} else := {"action": "deny", "rule_name": "port-restricted"} if {
	not port_allowed
} else := {"action": "allow", "rule_name": "domain-allowlist"} if {
	some pattern in listed("allowed_domains")
	matches(pattern)
} else := {"action": data.firewall.default_action, "rule_name": "default-policy"} if {
	data.firewall.default_action in {"allow", "deny"}
} else := {"action": "deny", "rule_name": "default-deny"}

action := decision.action

rule_name := decision.rule_name

listed(name) := [entry | some entry in data.firewall[name]]

# METADATA
# description: The destination's host as it is compared, without case, brackets, port or final dot.
host := h if {
	is_string(input.destination)
	text := lower(trim_space(input.destination))
	h := trim_right(without_port(without_scheme(text)), ".")
} else := ""

without_scheme(text) := regex.replace(text, `^[a-z][a-z0-9+.-]*://([^/?#@]*@)?([^/?#]*).*$`, "$2")

# [address]:port, host:port, or neither; an address with several colons and no brackets has no port.
without_port(text) := h if {
	found := regex.find_all_string_submatch_n(`^\[([^\]]*)\](?::[0-9]*)?$`, text, 1)
	h := found[0][1]
} else := h if {
	found := regex.find_all_string_submatch_n(`^([^:]*):[0-9]*$`, text, 1)
	h := found[0][1]
} else := text

matches(pattern) if name_of(pattern) == host

# A domain covers its subdomains, by whole labels: evil-example.com is not under example.com.
matches(pattern) if {
	not is_address(host)
	name_of(pattern) != ""
	endswith(host, concat("", [".", name_of(pattern)]))
}

matches(pattern) if {
	is_string(pattern)
	contains(pattern, "/")
	net.cidr_is_valid(pattern)
	is_address(host)
	net.cidr_contains(pattern, host)
}

name_of(pattern) := trim_right(trim_prefix(lower(trim_space(pattern)), "*."), ".") if is_string(pattern)

is_address(text) if regex.match(`^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$`, text)

is_address(text) if contains(text, ":")

# No list of ports allows them all.
port_allowed if count(listed("allowed_ports")) == 0

port_allowed if input.port in listed("allowed_ports")
