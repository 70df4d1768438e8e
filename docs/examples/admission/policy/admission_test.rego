package kubernetes.admission_test

import data.kubernetes.admission

review(kind, object) := {
	"apiVersion": "admission.k8s.io/v1",
	"kind": "AdmissionReview",
	"request": {"uid": "u", "kind": {"kind": kind}, "object": object},
}

pod(container) := review("Pod", {"spec": {"containers": [container]}})

allowed(given) := answer if {
	answer := admission.review.response.allowed with input as given with data.admission.registries as ["registry.example"]
}

test_an_image_of_a_registry_with_a_tag if {
	allowed(pod({"name": "a", "image": "registry.example/a:1.2"}))
	allowed(pod({"name": "a", "image": concat("", ["registry.example/a@sha256:", sprintf("%064d", [1])])}))
}

test_other_images if {
	not allowed(pod({"name": "a", "image": "registry.example.org/a:1.2"}))
	not allowed(pod({"name": "a", "image": "a:1.2"}))
	not allowed(pod({"name": "a", "image": "registry.example/a"}))
	not allowed(pod({"name": "a", "image": "registry.example/a:latest"}))
	not allowed(pod({"name": "a", "image": "registry.example:5000/a"}))
	not allowed(pod({"name": "a"}))
	not allowed(pod({}))
}

test_rights_of_the_host if {
	not allowed(pod({"name": "a", "image": "registry.example/a:1", "securityContext": {"privileged": true}}))
	not allowed(review("Pod", {"spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "registry.example/a:1"}]}}))
}

test_what_makes_pods if {
	spec := {"containers": [{"name": "a", "image": "registry.example/a:1"}]}
	allowed(review("Deployment", {"spec": {"template": {"spec": spec}}}))
	allowed(review("CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}))
	not allowed(review("CronJob", {"spec": {"template": {"spec": spec}}}))
	not allowed(review("Namespace", {"spec": {"template": {"spec": spec}}}))
	not allowed(review("Pod", null))
}

test_what_is_no_review_is_not_answered if {
	not admission.review with input as {"request": {"uid": "u"}}
	not admission.review with input as {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
}
