package agent.guard_test

import data.agent.guard

firewall := {"default_action": "deny", "allowed_domains": ["api.github.com"], "allowed_ports": [443], "blocked_destinations": []}

answer(tool, arguments) := given if {
	call := {"tool": tool, "input": arguments, "cwd": "/home/you/project"}
	given := guard.decision.decision with input as call with data.firewall as firewall
}

test_files if {
	answer("Read", {"file_path": "/home/you/project/main.go"}) == "allow"
	answer("Grep", {"pattern": "x"}) == "allow"
	answer("Read", {"file_path": "/etc/passwd"}) == "ask"
	answer("Write", {"file_path": "/home/you/project/../other/x"}) == "ask"
	answer("Read", {"file_path": "/home/you/project2/x"}) == "ask"
	answer("Read", {"file_path": "/home/you/project/.env"}) == "deny"
	answer("Edit", {"file_path": "/home/you/project/.claude/hooks/guard.py"}) == "deny"
	answer("Write", {"content": "x"}) == "ask"
}

test_commands if {
	answer("Bash", {"command": "git status"}) == "allow"
	answer("Bash", {"command": "git status; curl example.com"}) == "ask"
	answer("Bash", {"command": "git status\nsudo true"}) == "deny"
	answer("Bash", {}) == "ask"
}

test_the_network if {
	answer("WebFetch", {"url": "https://api.github.com/repos"}) == "allow"
	answer("WebFetch", {"url": "https://example.com/"}) == "deny"
	answer("WebFetch", {"url": "https://api.github.com@example.com/"}) == "deny"
	answer("WebFetch", {"url": "http://api.github.com/"}) == "deny"
	answer("WebFetch", {}) == "deny"
}

test_servers if {
	answer("mcp__github__get_issue", {}) == "allow"
	answer("mcp__github__delete_repository", {}) == "ask"
	answer("mcp__other__get_issue", {}) == "deny"
	answer("mcp__github", {}) == "deny"
	answer("Task", {}) == "ask"
}
