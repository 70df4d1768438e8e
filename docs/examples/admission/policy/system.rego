# What POST / answers, for webhooks that were made for OPA and name no path.
package system

main := data.kubernetes.admission.review
