package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/enginetest"
	"defenseclaw/engine/source"
)

// stamp is a signature of a kind: the file STAMP says how often the letter x is in the modules.
func stamp(_ context.Context, src fs.FS, reading *source.Reading) (engine.Verified, error) {
	text, err := fs.ReadFile(src, "STAMP")
	if err != nil {
		return engine.Verified{}, errors.New("there is no stamp")
	}
	n := 0
	for _, f := range append(reading.Files(), reading.Tests()...) {
		for _, c := range f.Bytes {
			if c == 'x' {
				n++
			}
		}
	}
	if len(text) != n {
		return engine.Verified{}, diagnostic.List{{File: "STAMP", Code: diagnostic.CodeSignatureInvalid, Message: "it does not fit"}}
	}
	return engine.Verified{By: "stamp", Fingerprint: "S", Commit: string(text)}, nil
}

func filesOf(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for p, text := range files {
		m[p] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// signedEngine runs an engine on what files holds at the time.
func signedEngine(t *testing.T, files *atomic.Pointer[fstest.MapFS], told chan<- engine.Verified) *engine.Engine {
	t.Helper()
	e := enginetest.New(t, engine.Config{
		Source: func() (fs.FS, error) { return *files.Load(), nil }, Verify: stamp,
		OnVerified: func(v engine.Verified) { told <- v },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e
}

func TestOnlyWhatIsVerifiedServes(t *testing.T) {
	var files atomic.Pointer[fstest.MapFS]
	told := make(chan engine.Verified, 100)
	e := signedEngine(t, &files, told)
	set := func(m map[string]string) { f := filesOf(m); files.Store(&f) }
	reload := func() error {
		_, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
		return err
	}
	refused := func(err error, stage engine.Stage) {
		t.Helper()
		if r := new(engine.Refused); !errors.As(err, &r) || r.Stage != stage {
			t.Fatalf("%v: refused at another stage than %s", err, stage)
		}
	}

	set(map[string]string{"a.rego": "package a\n\nx := 1\n"})
	refused(reload(), engine.StageSignature)
	set(map[string]string{"a.rego": "package a\n\nx := 1\n", "STAMP": "1"})
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if v := e.Current().Verified(); v.By != "stamp" {
		t.Errorf("it serves as verified by %+v", v)
	}
	<-told

	// What is not signed is not looked at any further: that it does not parse is not told.
	set(map[string]string{"a.rego": "package a\n\nx := (\n", "STAMP": "22"})
	refused(reload(), engine.StageSignature)
	set(map[string]string{"a.rego": "package a\n\nx := (\n", "STAMP": "2"})
	refused(reload(), engine.StageParse)

	// The same content with another signature: refused, and taken again once it fits, though the content is the refused one.
	set(map[string]string{"a.rego": "package a\n\nx := 2\n", "STAMP": "22"})
	refused(reload(), engine.StageSignature)
	set(map[string]string{"a.rego": "package a\n\nx := 2\n", "STAMP": "2"})
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	<-told
	// A signature of what serves that is gone is told as well: a restart would not serve it.
	set(map[string]string{"a.rego": "package a\n\nx := 2\n"})
	refused(reload(), engine.StageSignature)
	if e.Status().State != engine.StateStale {
		t.Errorf("the state is %s", e.Status().State)
	}
	// Tests count, and are no part of what serves.
	set(map[string]string{"a.rego": "package a\n\nx := 2\n", "a_test.rego": "xxx", "STAMP": "2"})
	refused(reload(), engine.StageSignature)
	set(map[string]string{"a.rego": "package a\n\nx := 2\n", "a_test.rego": "xxx", "STAMP": "2222"})
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if v := <-told; v.Commit != "2222" || len(e.Current().Files()) != 1 || len(told) != 0 {
		t.Errorf("told %+v, %d files, %d more", v, len(e.Current().Files()), len(told))
	}
}

func TestNothingLeadsPastTheSignature(t *testing.T) {
	var files atomic.Pointer[fstest.MapFS]
	first := filesOf(map[string]string{"a.rego": "package a\n\nx := 1\n", "STAMP": "1"})
	files.Store(&first)
	e := signedEngine(t, &files, make(chan engine.Verified, 100))
	if _, err := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerAPI}); err != nil {
		t.Fatal(err)
	}
	serving := e.Current()
	other := filesOf(map[string]string{"a.rego": "package a\n\nx := 2\n"})
	files.Store(&other)
	_, dry, err1 := e.DryRun(t.Context(), engine.Trigger{Kind: engine.TriggerAPI})
	_, err2 := e.Prepare(t.Context(), other)
	_, err3 := e.Reload(t.Context(), engine.Trigger{Kind: engine.TriggerStartup, Source: other})
	for what, err := range map[string]error{"a dry run": err1, "what a rollback prepares": err2, "what is restored": err3} {
		if r := new(engine.Refused); !errors.As(err, &r) || r.Stage != engine.StageSignature {
			t.Errorf("%s: %v", what, err)
		}
	}
	if e.Current() != serving || dry != serving {
		t.Error("another policy serves")
	}
	if _, err := e.LoadAside(t.Context(), other); err != nil { // a comparison serves nothing
		t.Error(err)
	}
}
