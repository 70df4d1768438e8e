//go:build !linux

package sidecar_test

import "defenseclaw/cmd/internal/reviewer"

func reviewerSteps() []reviewer.Step { return reviewer.Steps() }
