package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
)

// PackagesAnswer is the body of GET /policy/packages.
type PackagesAnswer struct {
	Generation uint64          `json:"generation"`
	Revision   string          `json:"revision"`
	Matching   int             `json:"matching"` // packages that the request asks for, on all pages
	Packages   []PolicyPackage `json:"packages"` // of this page, by path
	Next       string          `json:"next,omitempty"`

	// Data are the data files whose names have the text, by path. Pages behind the first one have none.
	Data     []string `json:"data_files"`
	MoreData int      `json:"more_data_files,omitempty"`
}

// PolicyPackage is what one package of the policy declares, and who refers to whom.
type PolicyPackage struct {
	Path       string       `json:"path"` // as Rego writes it
	Files      []string     `json:"files"`
	Rules      []PolicyRule `json:"rules"` // by file and line
	RefersTo   []string     `json:"refers_to"`
	ReferredBy []string     `json:"referred_by"`

	MoreFiles      int `json:"more_files,omitempty"`
	MoreRules      int `json:"more_rules,omitempty"`
	MoreRefersTo   int `json:"more_refers_to,omitempty"`
	MoreReferredBy int `json:"more_referred_by,omitempty"`
}

// PolicyRule is all clauses of one name in one file.
type PolicyRule struct {
	Name    string `json:"name"` // within the package
	File    string `json:"file"`
	Line    int    `json:"line"` // of the first clause
	Kind    string `json:"kind"` // value, set, object or function
	Clauses int    `json:"clauses"`
	Default bool   `json:"default,omitempty"`
}

// Bounds of an answer. One package that is asked for by its name or that of a file may have more.
const (
	defaultPackages, maxPackages = 50, 500
	packageItems, onePackage     = 100, 10_000
	maxSearch                    = 200 // bytes of a text that is looked for
)

// PackagesQuery says which packages [Client.Packages] asks for. The zero value asks for the first page of all.
type PackagesQuery struct {
	Q       string // a part of a package's path, or of the name of a rule or file in it, in upper or lower case
	Package string // its path
	File    string // that the package has
	After   string // the path behind which the page begins: [PackagesAnswer].Next
	Limit   int    // packages on a page; 0: 50
}

func packagesQuery(r *http.Request) (q PackagesQuery, err error) {
	query := r.URL.Query()
	q = PackagesQuery{Q: query.Get("q"), Package: query.Get("package"), File: query.Get("file"), After: query.Get("after"), Limit: defaultPackages}
	if len(q.Q) > maxSearch {
		return q, decision.BadRequest("q has %d bytes: %d are looked for at most", len(q.Q), maxSearch)
	}
	q.Limit, err = countOf(query, "limit", defaultPackages, maxPackages)
	return q, err
}

// countOf is a number from 1 to most that a request may name.
func countOf(query url.Values, name string, standard, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, decision.BadRequest("%s is %q: a number from 1 to %d was expected", name, text[:min(len(text), 100)], most)
	}
	return n, nil
}

// packages is GET /policy/packages.
func (s *Server) packages(w http.ResponseWriter, r *http.Request) error {
	q, err := packagesQuery(r)
	if err != nil {
		return err
	}
	g := s.current()
	if g == nil {
		return decision.ErrNoPolicy
	}
	found := q.choose(s.outlines.of(g))
	answer := PackagesAnswer{Generation: g.Number(), Revision: g.Revision(), Matching: len(found), Packages: []PolicyPackage{}}
	from, there := slices.BinarySearchFunc(found, q.After, func(p engine.Package, path string) int { return strings.Compare(p.Path, path) })
	if there {
		from++
	}
	page := found[from:min(from+q.Limit, len(found))]
	if from+len(page) < len(found) {
		answer.Next = page[len(page)-1].Path
	}
	most := packageItems
	if q.Package != "" || q.File != "" {
		most = onePackage
	}
	for i, refs := range g.References(page) {
		answer.Packages = append(answer.Packages, packageOf(page[i], refs, most))
	}
	answer.Data, answer.MoreData = q.dataFiles(g)
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// dataFiles are the names that an answer has.
func (q PackagesQuery) dataFiles(g *engine.Generation) (names []string, more int) {
	names = []string{}
	if q.After != "" || q.Package != "" || q.File != "" {
		return names, 0
	}
	for _, f := range g.Files() { // by path
		switch {
		case kindName(f.Kind()) != FileData || !strings.Contains(strings.ToLower(f.Path), strings.ToLower(q.Q)):
		case len(names) == packageItems:
			more++
		default:
			names = append(names, f.Path)
		}
	}
	return names, more
}

func packageOf(p engine.Package, refs engine.References, most int) PolicyPackage {
	w := PolicyPackage{Path: p.Path, Rules: []PolicyRule{}}
	w.Files, w.MoreFiles = firstOf(p.Files, most)
	w.RefersTo, w.MoreRefersTo = firstOf(refs.To, most)
	w.ReferredBy, w.MoreReferredBy = firstOf(refs.By, most)
	var rules []engine.Rule
	rules, w.MoreRules = firstOf(p.Rules, most)
	for _, r := range rules {
		w.Rules = append(w.Rules, PolicyRule{Name: r.Name, File: r.File, Line: r.Line, Kind: string(r.Kind), Clauses: r.Clauses, Default: r.Default})
	}
	return w
}

// firstOf returns at most so many of all, and how many more there are.
func firstOf[T any](all []T, most int) (first []T, more int) {
	n := min(len(all), most)
	return append([]T{}, all[:n]...), len(all) - n
}

// choose returns the packages that are asked for. Of one that has only rules that match, those are left.
func (q PackagesQuery) choose(all []engine.Package) []engine.Package {
	part := strings.ToLower(q.Q)
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), part) }
	var found []engine.Package
	for _, p := range all {
		switch {
		case q.Package != "" && p.Path != q.Package, q.File != "" && !slices.Contains(p.Files, q.File):
			continue
		case part == "", has(p.Path), slices.ContainsFunc(p.Files, has):
		default:
			var rules []engine.Rule
			for _, r := range p.Rules {
				if has(r.Name) {
					rules = append(rules, r)
				}
			}
			if p.Rules = rules; rules == nil {
				continue
			}
		}
		found = append(found, p)
	}
	return found
}

// outlines keeps the outline of the generation that was asked about last. It holds nothing of the generation, which would
// otherwise stay in memory after it stopped serving.
type outlines struct {
	mu         sync.Mutex
	generation uint64
	revision   string
	packages   []engine.Package
	outliner   engine.Outliner
}

func (o *outlines) of(g *engine.Generation) []engine.Package {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.packages == nil || o.generation != g.Number() || o.revision != g.Revision() {
		o.generation, o.revision, o.packages = g.Number(), g.Revision(), o.outliner.Outline(g)
	}
	return o.packages
}

// Packages asks what the packages of the policy that serves declare.
func (c *Client) Packages(ctx context.Context, q PackagesQuery) (answer PackagesAnswer, err error) {
	return answer, c.get(ctx, "/policy/packages?"+q.Values().Encode(), &answer)
}

// Values are the parameters of the request.
func (q PackagesQuery) Values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"q": q.Q, "package": q.Package, "file": q.File, "after": q.After} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}
