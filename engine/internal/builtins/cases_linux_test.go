package builtins_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"defenseclaw/engine/internal/opacases"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/topdown"
)

const (
	poisonEnv = "BUILTINS_TEST_POISON" // the child serves hostile calls first
	noWatch   = 3                      // the exit code where the kernel watches no process
)

func init() {
	children["cases"] = func() int { return printCases(func() error { return nil }) }
	children["watched cases"] = func() int { return printCases(forbidIO) }
}

// printCases prints the result of every conformance case of OPA's, with the time and the seed fixed.
func printCases(before func() error) int {
	all, err := opacases.All()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = time.Now().Local().String() // reads the machine's zone
	for _, zone := range zones {    // the time zone database is read; see the package comment
		_, _ = call("time.clock", time.Second, ast.ArrayTerm(ast.IntNumberTerm(0), ast.StringTerm(zone)))
	}
	if err := before(); err != nil {
		fmt.Println("no watch:", err)
		return noWatch
	}
	if os.Getenv(poisonEnv) != "" {
		for _, c := range poison() {
			fmt.Fprintln(os.Stderr, "begin", c.builtin, c.name)
			_, _ = call(c.builtin, deadline, c.operands()...)
		}
	}
	fmt.Println(resultOf(topdown.GetBuiltin("glob.match"), of("", "", `"admin-*"`, `["."]`, `"admin-x"`).operands()))
	for _, tc := range all {
		fmt.Fprintln(os.Stderr, "begin", tc.Filename, tc.Note)
		fmt.Printf("%s %s: %q\n", tc.Filename, tc.Note, resultOfCase(tc))
	}
	return 0
}

var zones = []string{"Europe/Berlin", "Europe/London", "Europe/Paris", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Shanghai", "Australia/Sydney"}

func resultOfCase(tc cases.TestCase) (result string) {
	defer func() {
		if v := recover(); v != nil {
			result = fmt.Sprint("panic: ", v)
		}
	}()
	modules := map[string]*ast.Module{}
	for i, text := range tc.Modules {
		m, err := ast.ParseModule(fmt.Sprint(i), text)
		if err != nil {
			return err.Error()
		}
		modules[fmt.Sprint(i)] = m
	}
	c := ast.NewCompiler()
	if c.Compile(modules); c.Failed() {
		return "does not compile"
	}
	query, err := c.QueryCompiler().Compile(ast.MustParseBody(tc.Query))
	if err != nil {
		return "the query does not compile"
	}
	store := inmem.New()
	if tc.Data != nil {
		store = inmem.NewFromObject(*tc.Data)
	}
	ctx := context.Background()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return err.Error()
	}
	var input *ast.Term
	if tc.InputTerm != nil {
		input = ast.MustParseTerm(*tc.InputTerm)
	} else if tc.Input != nil {
		input = ast.NewTerm(ast.MustInterfaceToValue(*tc.Input))
	}
	found, err := topdown.NewQuery(query).WithCompiler(c).WithStore(store).WithTransaction(txn).WithInput(input).
		WithTime(time.Unix(1700000000, 0)).WithSeed(strings.NewReader(strings.Repeat("seed", 1000))).
		WithStrictBuiltinErrors(tc.StrictError).WithCancel(at{time.Now().Add(time.Minute)}).Run(ctx)
	if err != nil {
		return "an error"
	}
	var lines []string
	for _, b := range found {
		var names []string
		for name := range b {
			names = append(names, string(name))
		}
		slices.Sort(names)
		for _, name := range names {
			lines = append(lines, name+"="+b[ast.Var(name)].String())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// poison are calls that fill the caches of builtins: with what OPA's confuses, and with many entries.
func poison() []hostile {
	all := []hostile{
		of("json.match_schema", "a schema", `{}`, `{"$id": "http://example.com/a", "type": "object"}`),
		of("time.clock", "another spelling", `[0, "Europe/./Paris"]`),
	}
	for i := range 2000 {
		s := fmt.Sprintf(`"%d*"`, i)
		all = append(all, of("glob.match", s, s, `["."]`, `"1"`), of("regex.match", s, s, `"1"`), of("regex.replace", s, `"1"`, s, `"2"`))
	}
	for name, schema := range endless() {
		all = append(all, of("json.match_schema", name, `{"a": 1}`, schema))
	}
	all = append(all, outward()...)
	// OPA's key is "admin-*-." for this and for the call that is printed before the cases.
	return append(all, of("glob.match", "OPA's confusion", `"admin"`, `["*", "-", "."]`, `"admin"`))
}

// outward are calls of every builtin with addresses and paths wherever it declares a string, and of the schema
// builtins with references.
func outward() []hostile {
	var all []hostile
	addresses := strings.NewReplacer("FILE", "file:///dev/null", "DIR", "file:///dev/", "HTTP", "http://127.0.0.1:9/s", "UPPER", "FiLe:///dev/null")
	for _, template := range reachingOut {
		schema := addresses.Replace(template)
		all = append(all, of("json.match_schema", schema, `{"a": 1}`, schema), of("json.verify_schema", schema, schema))
	}
	all = append(all, of("http.send", "a request", `{"method": "get", "url": "http://127.0.0.1:9/"}`))
	for _, decl := range ast.Builtins {
		if topdown.GetBuiltin(decl.Name) == nil {
			continue
		}
		var kinds [][]string
		for _, arg := range decl.Decl.FuncArgs().Args {
			kinds = append(kinds, kindsOf(arg))
		}
		for _, address := range []string{"file:///dev/null", "/dev/null", "http://127.0.0.1:9/", "localhost"} {
			m := literal(address, "string", fmt.Sprintf("%q", address))
			all = append(all, hostile{decl.Name, address, func() []*ast.Term { return operandsFor(kinds, 0, m, true) }})
		}
	}
	return all
}

// casesOf starts a child and returns the lines that it printed, and what it began last.
func casesOf(child, poisoned string) ([]string, string, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+child, poisonEnv+"="+poisoned)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	last := stderr.String()
	if i := strings.LastIndex(last, "begin "); i >= 0 {
		last = last[i:]
	}
	return strings.Split(string(out), "\n"), last[:min(len(last), 500)], err
}

// served is what a process prints that serves hostile calls first, under the watch where there is one.
var served = sync.OnceValue(func() (result struct {
	lines   []string
	last    string
	err     error
	watched bool
}) {
	_, _, err := casesOf("open a file", "")
	var exit *exec.ExitError
	result.watched = !errors.As(err, &exit) || exit.ExitCode() != noWatch
	child := "cases"
	if result.watched {
		child = "watched cases"
	}
	result.lines, result.last, result.err = casesOf(child, "1")
	return result
})

func TestHostileCallsChangeNoResultOfConformanceCases(t *testing.T) {
	fresh, last, err := casesOf("cases", "")
	if err != nil || len(fresh) < 1000 {
		t.Fatalf("%d lines, %v after %s", len(fresh), err, last)
	}
	got := served()
	if got.err != nil || len(got.lines) != len(fresh) {
		t.Fatalf("%d lines; %d when fresh; %v after %s", len(got.lines), len(fresh), got.err, got.last)
	}
	for i := range fresh {
		if fresh[i] != got.lines[i] {
			t.Errorf("fresh:  %s\nserved: %s", fresh[i], got.lines[i])
		}
	}
}

func TestBuiltinsDoNoIOUnderTheKernelsWatch(t *testing.T) {
	if !served().watched {
		t.Skip("SKIPPED: this system has no seccomp; nothing watched the builtins")
	}
	if _, _, err := casesOf("open a file", ""); err == nil {
		t.Fatal("the watch lets a process open a file")
	}
	if got := served(); got.err != nil {
		t.Fatalf("%v after %s", got.err, got.last)
	}
}
