package history_test

import (
	"errors"
	"reflect"
	"testing"

	"defenseclaw/engine/history"
)

func TestAReviewIsOnRecordAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, history.Config{Dir: dir})
	first, second := version(t, 1), version(t, 2)
	for _, g := range []history.Served{{Generation: first}, {Generation: second, Previous: first}} {
		if _, err := s.SaveServed(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	want := history.Reviewed{Verdict: "held", Findings: map[string]int{"hold": 2}, Flips: map[string]int{"deny_to_allow": 3}, Override: "INC-1"}
	if err := s.Reviewed(second.Revision(), want); err != nil {
		t.Fatal(err)
	}
	if err := s.Reviewed("sha256:00", want); !errors.Is(err, history.ErrNotFound) {
		t.Errorf("the review of a revision that never served: %v", err)
	}
	records, err := newStore(t, history.Config{Dir: dir}).Records()
	if err != nil {
		t.Fatal(err)
	}
	if got := records[0].Reviewed; got == nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("the record tells of the review %+v; %+v was expected", got, want)
	}
	if records[1].Reviewed != nil {
		t.Errorf("the first has a review: %+v", records[1].Reviewed)
	}
}
