package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"defenseclaw/engine/internal/eval"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// packsVariable names a folder with checkouts of public policy packs, which this repository does not have.
const packsVariable = "PACKS"

// TestSamenessOfPublicPacks evaluates every test of every pack by OPA's evaluator and by a program.
func TestSamenessOfPublicPacks(t *testing.T) {
	dir := os.Getenv(packsVariable)
	packs, _ := filepath.Glob(filepath.Join(dir, "*"))
	if dir == "" || len(packs) == 0 {
		t.Skipf("NO PUBLIC PACKS, NOTHING COMPARED: set %s to a folder with a checkout of each", packsVariable)
	}
	declareTheirs()
	for _, pack := range packs {
		t.Run(filepath.Base(pack), func(t *testing.T) {
			all := &packTally{why: map[string]int{}}
			all.compare(t, os.DirFS(pack))
			t.Logf("%d tests by a program, %d left to OPA's evaluator by it, %d without a program; %d files refused; why: %v",
				all.programs, all.asked, all.without, all.dropped, all.why)
			if all.programs == 0 {
				t.Error("no test was decided by a program")
			}
		})
	}
}

// declareTheirs declares the builtins of the programs that these packs are made for, by their number of arguments. Their tests
// replace most of them by mocks; a call of one fails.
func declareTheirs() {
	for name, arity := range map[string]int{
		"isManaged": 1, "result.new": 2, "cidr.count_addresses": 1, "cidr.is_public": 1, "squealer.scan_string": 1,
		"ec.oci.blob": 1, "ec.oci.blob_files": 2, "ec.oci.descriptor": 1, "ec.oci.image_files": 2, "ec.oci.image_index": 1, "ec.oci.image_manifest": 1,
		"ec.oci.image_manifests": 1, "ec.oci.image_referrers": 1, "ec.oci.image_tag_refs": 1, "ec.purl.is_valid": 1, "ec.purl.parse": 1,
		"ec.sigstore.verify_attestation": 2, "ec.sigstore.verify_image": 2,
	} {
		args := make([]types.Type, arity)
		for i := range args {
			args[i] = types.A
		}
		ast.RegisterBuiltin(&ast.Builtin{Name: name, Decl: types.NewFunction(args, types.A)})
		topdown.RegisterBuiltinFunc(name, func(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error {
			return errors.New("no test has this builtin")
		})
	}
}

type packTally struct {
	programs, asked, without, dropped int
	why                               map[string]int
}

// compare loads a pack as one policy; where that would lose a part of it, each folder with tests, and what is below it, as one.
func (p *packTally) compare(t *testing.T, pack fs.FS) {
	g, dropped := p.loadWhole(t, pack)
	if g != nil && dropped < 30 {
		p.dropped += dropped
		p.compareTests(t, g)
		return
	}
	var folders []string
	_ = fs.WalkDir(pack, ".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, "_test.rego") && !slices.Contains(folders, path.Dir(name)) {
			folders = append(folders, path.Dir(name))
		}
		return err
	})
	for _, folder := range folders {
		below, err := fs.Sub(pack, folder)
		if err != nil {
			t.Fatal(err)
		}
		g, dropped := p.loadWhole(t, below)
		p.dropped += dropped
		if g != nil {
			p.compareTests(t, g)
		}
	}
}

// loadWhole loads the modules and data of a pack, those of Rego v0 as OPA rewrites them, without the files that are refused, such
// as those that need a builtin of the pack's own program. g is nil where nothing is left.
func (p *packTally) loadWhole(t *testing.T, pack fs.FS) (g *Generation, dropped int) {
	t.Helper()
	files := fstest.MapFS{}
	_ = fs.WalkDir(pack, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		if err != nil || entry.IsDir() || path.Ext(name) != ".rego" && base != "data.json" && base != "data.yaml" && base != "data.yml" {
			return err
		}
		text, err := fs.ReadFile(pack, name)
		if path.Ext(name) == ".rego" {
			both := ast.ParserOptions{RegoVersion: ast.RegoV0CompatV1, ProcessAnnotation: true}
			if _, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1}); err != nil {
				both.RegoVersion = ast.RegoV0
				if v1, err := format.SourceWithOpts(name, text, format.Opts{RegoVersion: ast.RegoV1, ParserOptions: &both}); err == nil {
					text = v1
				}
			}
		}
		// Under another name, a test is a module like any other.
		files[strings.Replace(name, "_test.rego", "_tests.rego", 1)] = &fstest.MapFile{Data: text}
		return err
	})
	for len(files) > 0 {
		g, err := Load(t.Context(), files, nil)
		if err == nil {
			return g, dropped
		}
		refused := new(Refused)
		before := len(files)
		if errors.As(err, &refused) {
			for _, d := range refused.Diagnostics {
				delete(files, d.File)
			}
		}
		p.why["a file is refused: "+reasonWithoutPlace(err)]++
		if dropped += before - len(files); len(files) == before {
			break
		}
	}
	return nil, dropped
}

func (p *packTally) compareTests(t *testing.T, g *Generation) {
	for _, file := range g.Files() {
		module := g.Module(file.Path)
		if module == nil || !strings.HasSuffix(file.Path, "_tests.rego") {
			continue
		}
		asked := map[string]bool{}
		for _, rule := range module.Rules {
			name := string(rule.Head.Name)
			if !strings.HasPrefix(name, "test_") || asked[name] {
				continue
			}
			asked[name] = true
			ref := append(module.Package.Path.Copy(), ast.StringTerm(name))
			p.compareTest(t, g, pathOfRef(ref))
		}
	}
}

func pathOfRef(ref ast.Ref) (p Path) {
	for _, term := range ref[1:] {
		p = append(p, string(term.Value.(ast.String)))
	}
	return p
}

func (p *packTally) compareTest(t *testing.T, g *Generation, path Path) {
	const before = 500 // programs; an evaluator makes 512 at most
	if n := p.programs + p.asked; n > 0 && n%before == 0 {
		g.evaluator = eval.New(g.policy, g.data, eval.Config{}) // no one else has this generation
	}
	want, wantErr := g.EvaluateLenient(t.Context(), path, nil)
	if err := g.evaluator.Compile(t.Context(), eval.Path(path)); err != nil {
		p.without++
		p.why[reasonWithoutPlace(err)]++
		return
	}
	got, err := g.EvaluateLenient(t.Context(), path, nil)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || !sameText(want, got) {
		t.Errorf("%s is %v, %v by a program; by OPA's evaluator %v, %v", path, got, err, want, wantErr)
	}
	for _, way := range g.Ways() {
		if slices.Equal(way.Path, eval.Path(path)) {
			if p.asked += int(way.Asked); way.Asked > 0 {
				s, err := g.SideBySide(t.Context(), path, nil, true)
				p.why[fmt.Sprint("asked: ", s.Why, err)]++
			}
			p.programs += int(way.ByProgram - way.Asked)
		}
	}
}

// reasonWithoutPlace leaves the file and line out, so that reasons can be counted.
func reasonWithoutPlace(err error) string {
	parts := strings.Split(err.Error(), ": ")
	return parts[len(parts)-1]
}
