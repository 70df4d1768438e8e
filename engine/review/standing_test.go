package review_test

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"defenseclaw/engine"
	"defenseclaw/engine/review"
	"defenseclaw/engine/source"
)

func TestATestThatFailedStaysUntilItPassesOrIsGone(t *testing.T) {
	tests, err := engine.ReadTests(t.Context(), fstest.MapFS{
		"p_test.rego": {Data: []byte("package p_test\n\ntest_a if true\n\ntest_b[x] if x := 1\n")},
		"q_test.rego": {Data: []byte("package q_test\n\ntest_c if true\n")},
	}, nil, source.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := func(names ...string) (all []review.FailedTest) {
		for _, name := range names {
			all = append(all, review.FailedTest{Name: name, File: "p_test.rego", Row: 3})
		}
		return all
	}
	before := &review.Standing{Failed: failed("data.p_test.test_a", "data.p_test.test_b", "data.p_test.test_gone", "data.q_test", "broken_test.rego")}
	for _, c := range []struct {
		what   string
		before *review.Standing
		run    review.Evidence
		want   []string
	}{
		{"the first run", nil, review.Evidence{Tests: &review.TestRun{Ran: 2, Failed: failed("data.p_test.test_a")}}, []string{"data.p_test.test_a"}},
		{"nothing ran", before, review.Evidence{}, []string{"data.p_test.test_a", "data.p_test.test_b", "data.q_test"}},
		{"others ran", before, review.Evidence{Tests: &review.TestRun{Ran: 1}}, []string{"data.p_test.test_a", "data.p_test.test_b", "data.q_test"}},
		{"some passed", before, review.Evidence{Tests: &review.TestRun{Ran: 2, Mended: []string{"data.p_test.test_b", "data.q_test"}}}, []string{"data.p_test.test_a"}},
		{"one fails again, and one does not parse", before, review.Evidence{Tests: &review.TestRun{Ran: 2, Failed: failed("data.p_test.test_a", "broken_test.rego")}},
			[]string{"data.p_test.test_a", "broken_test.rego", "data.p_test.test_b", "data.q_test"}},
	} {
		if got := c.before.After(c.run, "sha256:1", time.Now(), tests.Suite()).Names(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q fail, want %q", c.what, got, c.want)
		}
	}
	now := before.After(review.Evidence{Incomplete: []string{"tests: the reviewer was killed", "probe: the same"}}, "sha256:1", time.Now(), tests.Suite())
	if want := []string{"tests: the reviewer was killed"}; !slices.Equal(now.Incomplete, want) {
		t.Errorf("incomplete are %q, want %q", now.Incomplete, want)
	}
}
