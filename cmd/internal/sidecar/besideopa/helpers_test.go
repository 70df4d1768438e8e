package besideopa_test

import (
	"testing"

	"defenseclaw/cmd/internal/testutil"
)

type published struct {
	etag    string
	archive []byte
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !testutil.Eventually(ok) {
		t.Fatal("still not: ", what)
	}
}
