package history

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPaceTakesATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var out bytes.Buffer
		w := &pacedWriter{t.Context(), &pace{begun: begun}, &out}
		for range 100 {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(turn / 2) // the work
		}
		if took := time.Since(begun); took < 9*50*turn || took > 11*50*turn || out.Len() != 100 {
			t.Errorf("%d writes of %s took %s", out.Len(), turn/2, took)
		}
	})
}

func TestARestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &pace{begun: time.Now()}
		time.Sleep(turn)
		cancel()
		before := time.Now()
		if _, err := (&pacedReader{ctx, p, &bytes.Buffer{}}).Read(nil); !errors.Is(err, context.Canceled) || time.Since(before) > 0 {
			t.Errorf("%v after %s", err, time.Since(before))
		}
	})
}

func TestWithoutAPaceNothingRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := time.Now()
		w := &pacedWriter{t.Context(), nil, &bytes.Buffer{}}
		time.Sleep(turn)
		if _, err := w.Write([]byte("x")); err != nil || time.Since(before) > turn {
			t.Errorf("%v after %s", err, time.Since(before))
		}
	})
}

func TestSavesTakeATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(ctx context.Context, work time.Duration) time.Duration {
			before := time.Now()
			restAfter(ctx, work)
			return time.Since(before)
		}
		if got := took(t.Context(), time.Second); got != 9*time.Second {
			t.Errorf("%s after a second of work", got)
		}
		if got := took(t.Context(), time.Hour); got != time.Minute {
			t.Errorf("%s after an hour of work", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := took(ctx, time.Hour); got != time.Second {
			t.Errorf("%s where a second was left", got)
		}
	})
}
