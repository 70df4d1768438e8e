// Package chart tests the Helm chart of docs/kubernetes, with Helm's own library and Kubernetes's own types. It is a module of its
// own, since the product needs neither.
package chart
