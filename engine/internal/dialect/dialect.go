// Package dialect is the one place where a parser or a compiler of Rego is made, so that all of them speak
// the same language: Rego v1, OPA's builtins less the unsafe ones, annotations processed.
package dialect

import (
	"sync"

	"defenseclaw/engine/internal/builtins"
	"defenseclaw/engine/internal/jsonast"

	"github.com/open-policy-agent/opa/v1/ast"
)

// UnsafeBuiltins are refused at compile time: a decision must depend on policy, data and input alone, and
// must not reach out of the process.
var UnsafeBuiltins = map[string]struct{}{
	ast.HTTPSend.Name:        {},
	ast.OPARuntime.Name:      {},
	ast.NetLookupIPAddr.Name: {},
}

func init() { builtins.Install() } // before anything is compiled or evaluated

// capabilities is OPA's table of the language. Given none, OPA makes and sorts a new table for each parser
// and each compiler.
var capabilities = sync.OnceValue(func() *ast.Capabilities {
	return ast.CapabilitiesForThisVersion(ast.CapabilitiesRegoVersion(ast.RegoV1))
})

// Parse parses a module. The locations in it name the file. Safe for concurrent use.
func Parse(file string, text []byte) (*ast.Module, error) {
	module, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{
		RegoVersion:       ast.RegoV1,
		ProcessAnnotation: true, // rego.metadata.* answer from them
		Capabilities:      capabilities(),
	})
	if err == nil && jsonast.MayHaveTooManyDigits(text) { // or it may be in a string
		err = CheckNumbers(module)
	}
	return module, err
}

// CheckNumbers returns an [ast.Errors] of the numbers below a node that have too many digits to compute with.
func CheckNumbers(node any) error {
	var errs ast.Errors
	ast.WalkTerms(node, func(t *ast.Term) bool {
		if n, ok := t.Value.(ast.Number); ok && jsonast.Digits(string(n)) > jsonast.MaxDigits {
			errs = append(errs, ast.NewError(ast.ParseErr, t.Location, "the number has more than %d digits", jsonast.MaxDigits))
		}
		return false
	})
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// NewCompiler makes a compiler that reports every error and refuses [UnsafeBuiltins]. It keeps print(), which writes to whoever
// watches a decision.
func NewCompiler() *ast.Compiler {
	//nolint:staticcheck // leaving them out of the capabilities would call them undefined, not unsafe
	return ast.NewCompiler().SetErrorLimit(0).WithUnsafeBuiltins(UnsafeBuiltins).
		WithDefaultRegoVersion(ast.RegoV1).WithCapabilities(capabilities()).WithEnablePrintStatements(true)
}

// NewSchemaCompiler is [NewCompiler] for a compiler that compares references with the schemas of annotations, and with
// those of set, which may be nil. It fetches no schema from a host. It opens files, which its caller must rule out.
func NewSchemaCompiler(set *ast.SchemaSet) *ast.Compiler {
	offline := *capabilities()
	offline.AllowNet = []string{} // nil would allow every host
	return NewCompiler().WithCapabilities(&offline).WithSchemas(set).WithUseTypeCheckAnnotations(true)
}

// NewStrictCompiler is [NewCompiler] for what OPA's strict mode finds in a module by itself: the stages behind those that find
// it are left out.
func NewStrictCompiler() *ast.Compiler {
	return NewCompiler().WithStrict(true).WithOnlyStagesUpTo(ast.StageRewriteLocalVars)
}

// Seal returns a copy of a compiler to evaluate with, and empties the original: rule indices refer to the
// compiler that made them, and would keep everything in it alive (TestAChainOfSplicesKeepsNoOldGeneration
// finds old modules and trees without it). Maps that only compilation reads are dropped. So are the original
// names of rewritten variables, since two compilers generate the same new names for different variables;
// traces show the generated names.
func Seal(c *ast.Compiler) *ast.Compiler {
	result := *c
	*c = ast.Compiler{}
	result.ModuleTree, result.Graph, result.RewrittenVars = nil, nil, nil
	return &result
}

// NameOf is the text of a path's part: a string without its quotes, anything else as Rego writes it.
func NameOf(t *ast.Term) string {
	if s, ok := t.Value.(ast.String); ok {
		return string(s)
	}
	return t.Value.String()
}
