package dockerfile

instructions[cmd] := values if {
	some cmd in {lower(i.Cmd) | some i in input.stages[_]}
	values := [i.Value | some i in input.stages[_]; lower(i.Cmd) == cmd]
}

deny contains message if {
	some i, value in instructions.from
	not pinned(value[0])
	message := sprintf("stage %d: %s is not pinned", [i, value[0]])
}

pinned(image) if {
	tag := split(image, ":")[1]
	tag != "latest"
}

deny contains message if {
	some value in instructions.run
	line := concat(" ", value)
	some tool in ["curl ", "wget "]
	contains(line, tool)
	some shell in ["| sh", "| bash"]
	endswith(trim_space(line), shell)
	message := sprintf("a download is run: %s", [substring(line, 0, 40)])
}

deny contains message if {
	some value in instructions.run
	some command in split(concat(" ", value), "&&")
	startswith(trim_space(command), "apt-get install")
	not contains(command, "--no-install-recommends")
	message := sprintf("more is installed than needed: %s", [trim_space(command)])
}

deny contains "no user is set" if not instructions.user

deny contains message if {
	some value in instructions.env
	some name in data.secret_names
	contains(upper(value[0]), name)
	message := sprintf("%s may be a secret", [value[0]])
}

deny contains message if {
	some value in instructions.copy
	value[0] in data.forbidden_sources
	message := sprintf("%s is copied", [value[0]])
}

warn contains message if {
	count(instructions.run) > 5
	message := sprintf("%d layers could be fewer", [count(instructions.run)])
}

result := {"deny": deny, "warn": warn, "passed": count(deny) == 0}
