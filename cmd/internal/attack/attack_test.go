// Package attack_test attacks the built program from outside: by requests, by connections and by what is in the
// policy directory. The program has 1 GiB of memory. After each try it must be the same process, serve the same
// policy and answer a decision; while a try runs, another caller's decisions are right or refused with 503.
package attack_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"defenseclaw/cmd/internal/cli"
)

var (
	thorough = flag.Bool("thorough", false, "make all tries, not a share of them")
	program  = flag.String("program", "", "attack the program in `FILE`; without it, this test's own build of it")
	seed     = flag.Uint64("seed", 1, "vary the random tries by `N`")
)

// programName is the name under which this test binary is the program.
const programName = "defenseclaw-gateway"

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case programName:
		os.Exit(cli.Main(os.Args))
	case limitedName:
		runLimited()
	}
	os.Exit(m.Run())
}

// try is one attack. do returns what is wrong with the program's answer, and nil if nothing is. What every try
// must leave as it was is checked by [victim.held].
type try struct {
	name string
	do   func(*victim) error
}

// kind is a family of tries against one running program.
type kind struct {
	name  string
	share int // of the tries, every share-th is made without -thorough
	tries func(*rand.Rand) []try
}

func kinds() []kind {
	return []kind{
		{"queries", 4, queries},
		{"bodies", 4, bodies},
		{"gates", 40, gates},
		{"connections", 1, connections},
		{"files", 3, files},
	}
}

func TestAttacks(t *testing.T) {
	if underRaceDetector {
		t.Skip("SKIPPED: the race detector's memory does not fit under the limit; make hostile runs it without")
	}
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			v := start(t)
			made, failed := 0, 0
			for i, one := range k.tries(rand.New(rand.NewPCG(*seed, 0))) {
				if !*thorough && i%k.share != 0 {
					continue
				}
				made++
				if err := v.suffer(one); err != nil {
					failed++
					t.Errorf("%s: %v", one.name, err)
				}
				if !v.alive() {
					t.Logf("the program ended at %s; what it wrote: %s", one.name, v.lastWords())
					v = start(t)
				}
			}
			fmt.Printf("attack %s: %d tries, %d failures\n", k.name, made, failed)
		})
	}
}

// suffer makes a try while a bystander asks for decisions, and returns what did not hold.
func (v *victim) suffer(one try) error {
	stop := v.bystander()
	err := one.do(v)
	if wrong := stop(); err == nil {
		err = wrong
	}
	if wrong := v.held(); err == nil {
		err = wrong
	}
	return err
}
