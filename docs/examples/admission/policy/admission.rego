# Which pods may run. The input is the API server's AdmissionReview, and review is the answer to it.
package kubernetes.admission

# METADATA
# description: >-
#   Undefined for anything that is not a review with a request. The API server gets no answer it knows then, and denies, since the
#   webhook's failurePolicy is Fail.
review := {
	"apiVersion": "admission.k8s.io/v1",
	"kind": "AdmissionReview",
	"response": object.union({"uid": input.request.uid, "allowed": count(deny) == 0}, refusal),
} if {
	input.apiVersion == "admission.k8s.io/v1"
	input.kind == "AdmissionReview"
}

refusal := {"status": {"code": 403, "reason": "Forbidden", "message": concat("; ", sort(deny))}} if {
	count(deny) > 0
} else := {}

object_ := input.request.object

kind := input.request.kind.kind

# The pods that the object is, or has made.

pods contains object_.spec if kind == "Pod"

pods contains object_.spec.template.spec if {
	kind in {"DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"}
}

pods contains object_.spec.jobTemplate.spec.template.spec if kind == "CronJob"

containers contains container if {
	some pod in pods
	some list in ["containers", "initContainers", "ephemeralContainers"]
	some container in pod[list]
}

# What is refused. A field that is left out must not make a rule undefined, so it is read with a default.

deny contains sprintf("a %s has no pods that could be judged", [object.get(input.request, ["kind", "kind"], "?")]) if count(pods) == 0

deny contains sprintf("container %s: the image %q is of none of the registries %s", [name(c), image(c), concat(", ", data.admission.registries)]) if {
	some c in containers
	not of_registry(image(c))
}

deny contains sprintf("container %s: the image %q needs a tag other than latest, or a digest", [name(c), image(c)]) if {
	some c in containers
	not pinned(image(c))
}

deny contains sprintf("container %s is privileged", [name(c)]) if {
	some c in containers
	object.get(c, ["securityContext", "privileged"], false) != false
}

deny contains sprintf("%s is set", [field]) if {
	some pod in pods
	some field in ["hostIPC", "hostNetwork", "hostPID"]
	object.get(pod, field, false) != false
}

name(container) := object.get(container, "name", "?")

image(container) := object.get(container, "image", "")

of_registry(text) if {
	some registry in data.admission.registries
	startswith(text, concat("", [registry, "/"]))
}

pinned(text) if regex.match(`@sha256:[0-9a-f]{64}$`, text)

pinned(text) if {
	regex.match(`:[A-Za-z0-9_][A-Za-z0-9_.-]*$`, text)
	not endswith(text, ":latest")
}
