# May an agent call a tool? The input is {"tool", "input", "cwd"}: the tool's name, its arguments, the project's folder.
package agent.guard

# METADATA
# description: What denies goes before what asks a person, and that before what allows. What no rule is about asks.
decision := {"decision": "deny", "reason": concat("; ", sort(deny))} if {
	count(deny) > 0
} else := {"decision": "ask", "reason": concat("; ", sort(ask))} if {
	count(ask) > 0
} else := {"decision": "allow", "reason": concat("; ", sort(allow))} if {
	count(allow) > 0
} else := {"decision": "ask", "reason": "no rule is about this call"}

# Files.

path := input.input[["file_path", "notebook_path", "path"][_]]

allow contains "only reads" if {
	input.tool in data.agent.tools.read_only
	not path
}

allow contains "reads in the project" if {
	input.tool in data.agent.tools.read_only
	inside
}

allow contains "writes in the project" if {
	input.tool in data.agent.tools.write
	inside
}

ask contains sprintf("%s is outside of the project", [path]) if {
	input.tool in (data.agent.tools.read_only | data.agent.tools.write)
	not inside
}

deny contains sprintf("%s may hold secrets, or decides what the agent may do", [path]) if {
	some pattern in data.agent.secrets
	glob.match(pattern, ["/"], path)
}

inside if {
	startswith(path, concat("", [input.cwd, "/"]))
	not ".." in split(path, "/")
}

# Commands. What a shell makes of a text is hard to tell, so only whole commands are allowed, and others are asked about.

allow contains "a command on the list" if {
	input.tool == "Bash"
	input.input.command in data.agent.commands
}

deny contains "it asks for the rights of another user" if {
	input.tool == "Bash"
	regex.match(`(^|[^A-Za-z0-9_-])(sudo|su|doas)([^A-Za-z0-9_-]|$)`, input.input.command)
}

# The network: as the firewall of the default pack says.

host := regex.find_all_string_submatch_n(`^https://([A-Za-z0-9.-]+)(?::443)?(?:[/?#]|$)`, input.input.url, 1)[0][1]

firewall := answer if {
	answer := data.defenseclaw.firewall.decision with input as {"target_type": "tool", "destination": host, "port": 443, "protocol": "https"}
}

allow contains sprintf("%s: %s", [host, firewall.rule_name]) if {
	input.tool == "WebFetch"
	firewall.action == "allow"
}

deny contains sprintf("%s: %s", [host, firewall.rule_name]) if {
	input.tool == "WebFetch"
	firewall.action != "allow"
}

deny contains "not an https address" if {
	input.tool == "WebFetch"
	not host
}

# Tools of MCP servers are called mcp__SERVER__TOOL. Names are compared whole: nothing is made of what a server calls itself.

allow contains "a tool on the list" if {
	some server, tools in data.agent.mcp
	some tool in tools
	input.tool == sprintf("mcp__%s__%s", [server, tool])
}

deny contains "a server that is not on the list" if {
	startswith(input.tool, "mcp__")
	not known_server
}

known_server if {
	some server, _ in data.agent.mcp
	startswith(input.tool, sprintf("mcp__%s__", [server]))
}
