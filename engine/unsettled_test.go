package engine_test

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"defenseclaw/engine"
)

// restless is a directory whose file differs at each look, until it is calm.
type restless struct {
	fstest.MapFS
	calmAt time.Time
}

func (r restless) ReadDir(name string) ([]fs.DirEntry, error) {
	if time.Now().Before(r.calmAt) {
		time.Sleep(time.Millisecond)
		r.MapFS["p.rego"] = &fstest.MapFile{Data: []byte(good), ModTime: time.Now()}
	}
	return r.MapFS.ReadDir(name)
}

func TestADirectoryThatKeepsChangingIsWaitedForTenTimesAsLong(t *testing.T) {
	for _, tt := range []struct {
		calmAfter time.Duration
		want      engine.Result
	}{
		{4 * time.Second, engine.Success},
		{time.Minute, engine.Failed},
	} {
		synctest.Test(t, func(t *testing.T) {
			calmAt := time.Now().Add(tt.calmAfter)
			e := run(t, engine.Config{Source: func() (fs.FS, error) {
				return restless{MapFS: fstest.MapFS{"p.rego": {Data: []byte(good)}}, calmAt: calmAt}, nil
			}})
			report := reload(t, e, engine.TriggerWatch, "p.rego")
			if report.Result != tt.want {
				t.Errorf("calm after %s: %s (%v), want %s", tt.calmAfter, report.Result, report.Refused, tt.want)
			}
		})
	}
}
