// Package jsonast reads JSON straight into OPA's values, without Go's maps and slices in between,
// and shares what two texts have in common.
package jsonast
