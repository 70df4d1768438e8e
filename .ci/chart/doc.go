// Package chart tests the Helm chart of docs/kubernetes, with Helm's own library and Kubernetes's own types. What it imports is
// not among the product's dependencies: .ci/chart.mod has it, and the tests have the build tag chart.
package chart
