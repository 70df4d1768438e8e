package sidecar_test

import (
	"os"
	"testing"
	"time"

	"defenseclaw/cmd/internal/reviewer"
	"defenseclaw/cmd/internal/sidecar"
	"defenseclaw/worker"

	"go.uber.org/goleak"
)

// childVariable makes the test binary run a sidecar instead of tests, where the platform can limit it.
const childVariable = "SIDECAR_TEST_DESCRIPTORS"

// runChild is nil where a process cannot limit itself.
var runChild func(descriptors string)

func TestMain(m *testing.M) {
	if worker.Asked() {
		if err := sidecar.ServeWorker(); err != nil {
			panic(err)
		}
		return
	}
	if reviewer.Asked() {
		if err := reviewer.Serve(reviewerSteps()); err != nil {
			panic(err)
		}
		return
	}
	if descriptors := os.Getenv(childVariable); descriptors != "" && runChild != nil {
		runChild(descriptors)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long something may take; it only matters when it does not happen.
const patience = 30 * time.Second

// token is what the sidecars of the tests expect: a shorter one would be refused.
const token = "e5a1c07d93b24f68"
