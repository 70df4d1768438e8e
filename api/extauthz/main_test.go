package extauthz_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something may take; it only matters when it does not happen.
const patience = 30 * time.Second
