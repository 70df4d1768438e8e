package bundle

import "github.com/open-policy-agent/opa/v1/ast"

// Revisions are what the manifests of the bundles call their versions, by the names of the bundles, as [Tree] put them into
// the data of a policy; nil if there are none.
func Revisions(data ast.Object) map[string]string {
	bundles, err := data.Find(ast.Ref{ast.InternedTerm("system"), ast.InternedTerm("bundles")})
	all, ok := bundles.(ast.Object)
	if err != nil || !ok {
		return nil
	}
	revisions := make(map[string]string, all.Len())
	all.Foreach(func(name, one *ast.Term) {
		n, ok := name.Value.(ast.String)
		if !ok {
			return
		}
		revision, err := one.Value.Find(ast.Ref{ast.InternedTerm("manifest"), ast.InternedTerm("revision")})
		if text, ok := revision.(ast.String); err == nil && ok {
			revisions[string(n)] = string(text)
		}
	})
	return revisions
}
