package kubernetes.admission

containers contains c if some c in input.request.object.spec.containers

containers contains c if some c in input.request.object.spec.initContainers

required := {"app", "team", "cost-center"}

deny contains msg if {
	missing := required - {k | some k, _ in input.request.object.metadata.labels}
	count(missing) > 0
	msg := sprintf("missing labels: %v", [sort(missing)])
}

deny contains msg if {
	some c in containers
	not regex.match(`^registry\.example\.com/[a-z0-9/_-]+:[a-zA-Z0-9._-]+$`, c.image)
	msg := sprintf("container %s has image %s", [c.name, c.image])
}

deny contains msg if {
	some c in containers
	endswith(c.image, ":latest")
	msg := sprintf("container %s uses latest", [c.name])
}

deny contains msg if {
	some c in containers
	object.get(c, ["securityContext", "privileged"], false)
	msg := sprintf("container %s is privileged", [c.name])
}

deny contains msg if {
	some c in containers
	not c.resources.limits.memory
	msg := sprintf("container %s has no memory limit", [c.name])
}

deny contains msg if {
	some c in containers
	caps := {x | some x in object.get(c, ["securityContext", "capabilities", "add"], [])}
	extra := caps - {"NET_BIND_SERVICE", "CHOWN"}
	count(extra) > 0
	msg := sprintf("container %s adds %v", [c.name, concat(", ", sort(extra))])
}

deny contains "every container must have probes" if {
	not every_probed
}

every_probed if {
	every c in input.request.object.spec.containers {
		c.livenessProbe
		c.readinessProbe
	}
}

response := {"apiVersion": input.apiVersion, "kind": "AdmissionReview", "response": {
	"uid": input.request.uid,
	"allowed": count(deny) == 0,
	"status": {"message": concat("; ", deny)},
}}
