package kubernetes.admission

containers contains c if some c in input.request.object.spec.containers

containers contains c if some c in input.request.object.spec.initContainers

required_labels := {"app", "team", "cost-center", "tier"}

deny contains message if {
	missing := required_labels - {name | some name, _ in input.request.object.metadata.labels}
	count(missing) > 0
	message := sprintf("labels are missing: %s", [concat(", ", missing)])
}

deny contains message if {
	some c in containers
	not regex.match(`^registry\.example\.(com|org)/[a-z0-9-]+(/[a-z0-9-]+)*(:[a-z0-9.-]+|@sha256:[0-9a-f]{64})$`, c.image)
	message := sprintf("%s: the image %s is from elsewhere", [c.name, c.image])
}

deny contains message if {
	some c in containers
	object.get(c, ["securityContext", "privileged"], false)
	message := sprintf("%s is privileged", [c.name])
}

deny contains message if {
	some c in containers
	missing := {"cpu", "memory"} - object.keys(object.get(c, ["resources", "limits"], {}))
	count(missing) > 0
	message := sprintf("%s has no limit of %v", [c.name, missing])
}

deny contains message if {
	some c in containers
	added := {cap | some cap in object.get(c, ["securityContext", "capabilities", "add"], [])}
	beyond := added - {"NET_BIND_SERVICE", "CHOWN"}
	count(beyond) > 0
	message := sprintf("%s adds %s", [c.name, concat(", ", beyond)])
}

deny contains message if {
	not all_probed
	message := "a container has no probe"
}

all_probed if {
	every c in input.request.object.spec.containers {
		c.livenessProbe.httpGet.port > 0
		c.readinessProbe.httpGet.path != ""
	}
}

deny contains message if {
	some v in input.request.object.spec.volumes
	v.hostPath
	not startswith(v.hostPath.path, "/var/log")
	message := sprintf("the volume %s is of the host", [v.name])
}

review := {"allowed": count(deny) == 0, "uid": input.request.uid, "messages": deny}
