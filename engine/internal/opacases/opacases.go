// Package opacases has OPA's conformance cases, for the tests of several packages.
package opacases

import (
	"fmt"
	"io/fs"

	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/test/cases/testdata"
	"github.com/open-policy-agent/opa/v1/util"
)

// atLeast is how many cases there have to be: with fewer, OPA keeps them elsewhere by now.
const atLeast = 1000

// All returns the cases of Rego v1, each with the path of its file in OPA's test data as its Filename.
func All() (all []cases.TestCase, err error) {
	err = fs.WalkDir(testdata.V1, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(testdata.V1, name)
		if err != nil {
			return err
		}
		var set cases.Set
		if err := util.Unmarshal(text, &set); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i := range set.Cases {
			set.Cases[i].Filename = name
		}
		all = append(all, set.Cases...)
		return nil
	})
	if err == nil && len(all) < atLeast {
		err = fmt.Errorf("OPA's test data has %d cases: at least %d were expected", len(all), atLeast)
	}
	return all, err
}
