package history_test

import (
	"fmt"
	"os"
	"testing"

	"defenseclaw/engine"
	"defenseclaw/engine/history"
)

func BenchmarkSave(b *testing.B) {
	for _, modules := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("modules=%d", modules), func(b *testing.B) {
			turns := [2]*engine.Generation{load(b, corpus(modules, 0).fs()), load(b, corpus(modules, 1).fs())}
			s := newStore(b, history.Config{})
			var e history.Entry
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				e = save(b, s, turns[i%2])
				i++
			}
			info, err := os.Stat(e.Path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size()), "bytes/entry")
		})
	}
}

func BenchmarkNewest(b *testing.B) {
	s := newStore(b, history.Config{})
	save(b, s, load(b, corpus(10_000, 0).fs()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Newest(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
