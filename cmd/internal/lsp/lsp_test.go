package lsp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/lsp"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// editor is a client of the server that does what an editor does.
type editor struct {
	t      *testing.T
	dir    string
	rpc    *jrpc2.Client
	told   chan published // what was published
	says   chan string    // messages that are shown
	files  map[string]string
	served chan error
}

type published struct {
	URI         string
	Version     *int
	Diagnostics []struct {
		Range    span
		Severity int
		Code     string
		Message  string
		Tags     []int
	}
}

type place struct{ Line, Character int }

type span struct{ Start, End place }

var pack = map[string]string{
	"a/p.rego": `package a.p

import data.lib.strings as s

# METADATA
# title: May the caller in?
# description: Everybody who is known.
default allow := false

allow if {
	some role in input.user.roles
	role == data.config.admin
	s.known(role)
	count(input.user.roles) > 0
}

deny contains reason if {
	not allow
	reason := "no"
}
`,
	"lib/strings.rego": "package lib.strings\n\nknown(x) if startswith(x, \"a\")\n",
	"a/p_test.rego": `package a.p_test

import data.a.p

test_in if p.allow with input as {"user": {"roles": ["admin"]}}

test_out if data.a.p.allow with input as {}
`,
	"data.json":        "{\n  \"config\": {\n    \"admin\": \"admin\"\n  }\n}\n",
	"a/p.input.json":   `{"user": {"roles": ["guest"]}}`,
	"other/notes.rego": "package other\n\nx := data.a.p.deny\n",
}

// start begins a session in a directory of these files, and waits until the server has judged it.
func start(t *testing.T, files map[string]string) *editor {
	t.Helper()
	e := &editor{t: t, dir: t.TempDir(), told: make(chan published, 1000), says: make(chan string, 100), files: files, served: make(chan error, 1)}
	for name, text := range files {
		e.write(name, text)
	}
	toServer, fromEditor := io.Pipe()
	toEditor, fromServer := io.Pipe()
	go func() {
		e.served <- lsp.Serve(context.Background(), toServer, fromServer, lsp.Config{Root: func(folder string) (string, error) { return folder, nil }})
	}()
	e.rpc = jrpc2.NewClient(channel.LSP(toEditor, fromEditor), &jrpc2.ClientOptions{OnNotify: func(r *jrpc2.Request) {
		var p published
		var m struct{ Message string }
		switch {
		case r.Method() == "textDocument/publishDiagnostics" && r.UnmarshalParams(&p) == nil:
			e.told <- p
		case strings.HasPrefix(r.Method(), "window/") && r.UnmarshalParams(&m) == nil:
			e.says <- m.Message
		}
	}})
	t.Cleanup(func() {
		e.call("shutdown", nil, nil)
		_ = e.rpc.Notify(context.Background(), "exit", nil)
		if err := <-e.served; err != nil {
			t.Error(err)
		}
		_ = e.rpc.Close()
	})
	var answer struct{ Capabilities map[string]any }
	e.call("initialize", map[string]any{"processId": os.Getpid(), "rootUri": e.uri("."), "capabilities": map[string]any{}}, &answer)
	if answer.Capabilities["hoverProvider"] != true {
		t.Errorf("capabilities %v", answer.Capabilities)
	}
	e.notify("initialized", map[string]any{})
	return e
}

func (e *editor) write(name, text string) {
	e.t.Helper()
	file := filepath.Join(e.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) uri(name string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(e.dir, name))}).String()
}

func (e *editor) call(method string, params, answer any) {
	e.t.Helper()
	if err := e.try(method, params, answer); err != nil {
		e.t.Fatalf("%s: %s", method, err)
	}
}

func (e *editor) try(method string, params, answer any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	response, err := e.rpc.Call(ctx, method, params)
	if err != nil || answer == nil {
		return err
	}
	return response.UnmarshalResult(answer)
}

func (e *editor) notify(method string, params any) {
	e.t.Helper()
	if err := e.rpc.Notify(context.Background(), method, params); err != nil {
		e.t.Fatal(err)
	}
}

func (e *editor) open(name string) {
	e.t.Helper()
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": e.uri(name), "languageId": "rego", "version": 1, "text": e.files[name]}})
}

func (e *editor) change(name string, version int, text string) {
	e.t.Helper()
	e.notify("textDocument/didChange", map[string]any{
		"textDocument":   map[string]any{"uri": e.uri(name), "version": version},
		"contentChanges": []map[string]any{{"text": text}},
	})
}

// expect waits until what is published of a file is as wanted: the messages, one a line with line and column, match.
func (e *editor) expect(name, want string) published {
	e.t.Helper()
	pattern := regexp.MustCompile(want)
	late := time.After(time.Minute)
	var last string
	for {
		select {
		case p := <-e.told:
			if p.URI != e.uri(name) {
				continue
			}
			var lines []string
			for _, d := range p.Diagnostics {
				lines = append(lines, strings.ReplaceAll(d.Message, "\n", " "))
			}
			if last = strings.Join(lines, "\n"); pattern.MatchString(last) {
				return p
			}
		case <-late:
			e.t.Fatalf("%s: last published %q; want %s", name, last, want)
		}
	}
}

// at is the position of the n-th occurrence, from 0, of a text in a file.
func (e *editor) at(name, text string, n int) map[string]any {
	e.t.Helper()
	offset := 0
	for range n {
		offset += strings.Index(e.files[name][offset:], text) + 1
	}
	i := strings.Index(e.files[name][offset:], text)
	if i < 0 {
		e.t.Fatalf("%s has no %q", name, text)
	}
	before := e.files[name][:offset+i]
	line := strings.Count(before, "\n")
	return map[string]any{
		"textDocument": map[string]any{"uri": e.uri(name)},
		"position":     place{line, len(before) - strings.LastIndexByte(before, '\n') - 1},
	}
}

type found struct {
	URI   string
	Range span
}

// places calls a method that answers with locations, and returns them as FILE:LINE:CHARACTER, from 1.
func (e *editor) places(method string, params map[string]any) string {
	e.t.Helper()
	var all []found
	e.call(method, params, &all)
	var lines []string
	for _, f := range all {
		u, _ := url.Parse(f.URI)
		rel, _ := filepath.Rel(e.dir, filepath.FromSlash(u.Path))
		text, _ := json.Marshal([]int{f.Range.Start.Line + 1, f.Range.Start.Character + 1})
		lines = append(lines, filepath.ToSlash(rel)+string(text))
	}
	return strings.Join(lines, " ")
}

func TestWhatIsWrongIsSaidOfBuffersThatAreNotSaved(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.expect("a/p.rego", `^$`)
	broken := strings.Replace(pack["a/p.rego"], "role == data", "role = = data", 1)
	e.change("a/p.rego", 2, broken)
	p := e.expect("a/p.rego", `unexpected`)
	if p.Diagnostics[0].Range.Start.Line != 11 || p.Version == nil || *p.Version != 2 || p.Diagnostics[0].Code != "rego_parse_error" {
		t.Errorf("%+v", p)
	}
	e.change("a/p.rego", 3, strings.Replace(pack["a/p.rego"], "s.known(role)", "s.unknown(role)", 1))
	e.expect("a/p.rego", `undefined function data\.lib\.strings\.unknown`)
	e.change("a/p.rego", 4, pack["a/p.rego"])
	e.expect("a/p.rego", `^$`)
	// A file that is not open, and that another program changes.
	e.write("lib/strings.rego", "package lib.strings\n\nfoo := 1\n")
	e.expect("a/p.rego", `undefined function data\.lib\.strings\.known`)
	e.write("lib/strings.rego", pack["lib/strings.rego"])
	e.expect("a/p.rego", `^$`)
	// The tests are judged, too, and a new file that is not on disk.
	e.open("a/p_test.rego")
	e.change("a/p_test.rego", 2, pack["a/p_test.rego"]+"\ntest_new if p.allow == nosuch\n")
	e.expect("a/p_test.rego", `nosuch`)
	e.change("a/p_test.rego", 3, pack["a/p_test.rego"])
	e.expect("a/p_test.rego", `^$`)
	e.files["new.rego"] = "package fresh\n\nx := y\n"
	defer delete(e.files, "new.rego")
	e.open("new.rego")
	e.expect("new.rego", `var y is unsafe`)
	e.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": e.uri("new.rego")}})
	e.expect("new.rego", `^$`)
}

func TestDefinitionsAndReferences(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.open("a/p_test.rego")
	e.expect("a/p.rego", `^$`)
	for _, tt := range []struct {
		file, text string
		n          int
		want       string
	}{
		{"a/p.rego", "known(role)", 0, "lib/strings.rego[3,1]"},
		{"a/p.rego", "allow", 2, "a/p.rego[8,9] a/p.rego[10,1]"}, // in not allow
		{"a/p_test.rego", "allow", 0, "a/p.rego[8,9] a/p.rego[10,1]"},
		{"a/p_test.rego", "allow", 1, "a/p.rego[8,9] a/p.rego[10,1]"},
		{"a/p.rego", "role ==", 0, "a/p.rego[11,7]"},
		{"a/p.rego", "admin", 0, "data.json[3,5]"},
		{"a/p.rego", "count(", 0, ""},
		{"a/p.rego", "strings as", 0, "lib/strings.rego[1,1]"},
	} {
		if got := e.places("textDocument/definition", e.at(tt.file, tt.text, tt.n)); got != tt.want {
			t.Errorf("definition of %s in %s: %s; want %s", tt.text, tt.file, got, tt.want)
		}
	}
	in := e.at("a/p.rego", "allow", 0)
	in["context"] = map[string]any{"includeDeclaration": true}
	if got := e.places("textDocument/references", in); got != "a/p.rego[8,9] a/p.rego[10,1] a/p.rego[18,6] a/p_test.rego[5,14] a/p_test.rego[7,22]" {
		t.Error(got)
	}
	in["context"] = map[string]any{"includeDeclaration": false}
	if got := e.places("textDocument/references", in); got != "a/p.rego[18,6] a/p_test.rego[5,14] a/p_test.rego[7,22]" {
		t.Error(got)
	}
}

func TestHover(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.expect("a/p.rego", `^$`)
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"allow", 2, "May the caller in"},
		{"allow", 2, "default `false`"},
		{"count(", 0, "collection"},
		{"known(", 0, `data\.lib\.strings\.known\(x\)`},
		{"admin", 0, `"admin"`},
		{"role ==", 0, "variable of this rule"},
		{"user.roles", 0, "input"},
	} {
		var answer struct{ Contents struct{ Value string } }
		e.call("textDocument/hover", e.at("a/p.rego", tt.text, tt.n), &answer)
		if !regexp.MustCompile(tt.want).MatchString(answer.Contents.Value) {
			t.Errorf("%s: %q; want %s", tt.text, answer.Contents.Value, tt.want)
		}
	}
	var nothing *struct{}
	e.call("textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": e.uri("a/p.rego")}, "position": place{1, 0}}, &nothing)
	if nothing != nil {
		t.Error("an empty line has a hover")
	}
}

// labels completes after a text that is typed at the end of a file.
func (e *editor) labels(name string, version int, typed string) []string {
	e.t.Helper()
	text := e.files[name] + "\n" + typed
	e.change(name, version, text)
	var items []struct{ Label string }
	e.call("textDocument/completion", map[string]any{
		"textDocument": map[string]any{"uri": e.uri(name)},
		"position":     place{strings.Count(text, "\n"), len(typed)},
	}, &items)
	var all []string
	for _, item := range items {
		all = append(all, item.Label)
	}
	return all
}

func TestCompletion(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.expect("a/p.rego", `^$`)
	for i, tt := range []struct{ typed, has, hasNot string }{
		{"x := ", "allow deny s count data input some json", "test_in plus"},
		{"x := data.", "a lib config other", "count"},
		{"x := data.a.p.", "allow deny", "test_in admin"},
		{"x := data.config.", "admin", "allow"},
		{"x := s.", "known", "allow"},
		{"x := input.", "user", "allow"},
		{"x := input.user.", "roles", "user"},
		{"x := json.", "patch filter", "count"},
		{"x := net.", "cidr_contains", "lookup_ip_addr"},
		{"x := http", "", "http"},
		{"# x := ", "", "allow"},
		{`x := "`, "", "allow"},
	} {
		got := e.labels("a/p.rego", i+2, tt.typed)
		for _, label := range strings.Fields(tt.has) {
			if !slices.Contains(got, label) {
				t.Errorf("%q offers no %s: %v", tt.typed, label, got)
			}
		}
		for _, label := range strings.Fields(tt.hasNot) {
			if slices.Contains(got, label) {
				t.Errorf("%q offers %s", tt.typed, label)
			}
		}
	}
}

type edits struct {
	Changes map[string][]struct {
		Range   span
		NewText string
	}
}

// apply makes the edits in the texts of files.
func (e *editor) apply(made edits) map[string]string {
	e.t.Helper()
	after := map[string]string{}
	for name, text := range e.files {
		lines := strings.SplitAfter(text, "\n")
		all := made.Changes[e.uri(name)]
		slices.SortFunc(all, func(a, b struct {
			Range   span
			NewText string
		}) int {
			if a.Range.Start.Line != b.Range.Start.Line {
				return b.Range.Start.Line - a.Range.Start.Line
			}
			return b.Range.Start.Character - a.Range.Start.Character
		})
		for _, edit := range all {
			line := lines[edit.Range.Start.Line]
			lines[edit.Range.Start.Line] = line[:edit.Range.Start.Character] + edit.NewText + line[edit.Range.End.Character:]
		}
		after[name] = strings.Join(lines, "")
	}
	return after
}

func TestRename(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.expect("a/p.rego", `^$`)
	rename := func(in map[string]any, to string) (edits, error) {
		in["newName"] = to
		var made edits
		err := e.try("textDocument/rename", in, &made)
		return made, err
	}
	made, err := rename(e.at("a/p.rego", "allow", 1), "may_enter")
	if err != nil {
		t.Fatal(err)
	}
	after := e.apply(made)
	if strings.Contains(after["a/p.rego"], "allow") || strings.Contains(after["a/p_test.rego"], "allow") || after["a/p.rego"] == pack["a/p.rego"] {
		t.Errorf("%s\n%s", after["a/p.rego"], after["a/p_test.rego"])
	}
	made, err = rename(e.at("lib/strings.rego", "known", 0), "of_us") // by the alias of its package
	if err != nil {
		t.Fatal(err)
	}
	if text := e.apply(made)["a/p.rego"]; !strings.Contains(text, "import data.lib.strings as s") || !strings.Contains(text, "s.of_us(role)") {
		t.Error(text)
	}
	made, err = rename(e.at("a/p.rego", "role in", 0), "r")
	if err != nil {
		t.Fatal(err)
	}
	if text := e.apply(made)["a/p.rego"]; !strings.Contains(text, "some r in input.user.roles\n\tr == data.config.admin\n\ts.known(r)\n") {
		t.Error(text)
	}
	for _, tt := range []struct{ text, to, want string }{
		{"allow", "deny", "exists already"},
		{"allow", "not", "no name of Rego"},
		{"allow", "a-b", "no name of Rego"},
		{"count(", "number", "is a builtin"},
		{"config", "x", "no rule of this pack"},
	} {
		if _, err := rename(e.at("a/p.rego", tt.text, 0), tt.to); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s to %s: %v; want %s", tt.text, tt.to, err, tt.want)
		}
	}
}

func TestFormattingAndSymbols(t *testing.T) {
	e := start(t, pack)
	e.open("lib/strings.rego")
	e.expect("lib/strings.rego", `^$`)
	document := map[string]any{"textDocument": map[string]any{"uri": e.uri("lib/strings.rego")}, "options": map[string]any{}}
	var none []any
	e.call("textDocument/formatting", document, &none)
	if len(none) != 0 {
		t.Error(none)
	}
	e.change("lib/strings.rego", 2, "package lib.strings\nknown(x)   if startswith( x,\"a\")\n")
	var all []struct{ NewText string }
	e.call("textDocument/formatting", document, &all)
	if len(all) != 1 || all[0].NewText != pack["lib/strings.rego"] {
		t.Error(all)
	}
	e.change("lib/strings.rego", 3, "package lib.strings\nknown(x if\n")
	if err := e.try("textDocument/formatting", document, nil); err == nil {
		t.Error("a text that does not parse was formatted")
	}
	e.open("a/p.rego")
	var symbols []struct{ Name string }
	e.call("textDocument/documentSymbol", map[string]any{"textDocument": map[string]any{"uri": e.uri("a/p.rego")}}, &symbols)
	if len(symbols) != 2 || symbols[0].Name != "allow" || symbols[1].Name != "deny" {
		t.Error(symbols)
	}
}

type lens struct {
	Range   span
	Command struct {
		Title, Command string
		Arguments      []any
	}
}

func TestCodeLenses(t *testing.T) {
	e := start(t, pack)
	e.open("a/p.rego")
	e.open("a/p_test.rego")
	e.expect("a/p.rego", `^$`)
	run := func(name, title string) string {
		t.Helper()
		var all []lens
		e.call("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}}, &all)
		for _, l := range all {
			if strings.HasPrefix(l.Command.Title, title) {
				var answer string
				e.call("workspace/executeCommand", map[string]any{"command": l.Command.Command, "arguments": l.Command.Arguments}, &answer)
				return answer
			}
		}
		t.Fatalf("%s has no lens %s: %v", name, title, all)
		return ""
	}
	if got := run("a/p_test.rego", "run test"); !strings.HasPrefix(got, "PASS data.a.p_test.test_in (") {
		t.Error(got)
	}
	if got := run("a/p.rego", "try with a/p.input.json"); !strings.HasPrefix(got, "data.a.p.allow = false with a/p.input.json") {
		t.Error(got)
	}
	if got := run("a/p.rego", "decision at this line"); !regexp.MustCompile(`a/p\.rego:12: failed: role == data\.config\.admin  role = "guest"`).MatchString(got) {
		t.Error(got)
	}
	e.change("a/p_test.rego", 2, strings.Replace(pack["a/p_test.rego"], `"admin"`, `"guest"`, 1))
	if got := run("a/p_test.rego", "run test"); !strings.HasPrefix(got, "FAIL data.a.p_test.test_in\n") || !strings.Contains(got, "p.allow") {
		t.Error(got)
	}
	for _, params := range []map[string]any{
		{"command": "rm", "arguments": []any{}},
		{"command": "defenseclaw.try", "arguments": []any{"data.a.p.allow"}},
		{"command": "defenseclaw.try", "arguments": []any{"data.a.p.allow", "../../etc/passwd"}},
		{"command": "defenseclaw.runTest", "arguments": []any{"x", "data.a.p_test.test_none"}},
	} {
		if err := e.try("workspace/executeCommand", params, nil); err == nil {
			t.Errorf("%v was done", params)
		}
	}
}

// Columns count UTF-16 code units, and lines may end in \r\n.
func TestPositionsOfOtherCharacters(t *testing.T) {
	text := "package p\r\n\r\n# 𝛼β\r\nx := [\"𝛼β\", y] # y\r\n\r\ny := 1\r\n"
	e := start(t, map[string]string{"p.rego": text})
	e.open("p.rego")
	e.expect("p.rego", `^$`)
	var all []found
	e.call("textDocument/definition", map[string]any{"textDocument": map[string]any{"uri": e.uri("p.rego")}, "position": place{3, 13}}, &all)
	if len(all) != 1 || all[0].Range.Start != (place{5, 0}) {
		t.Error(all)
	}
	e.change("p.rego", 2, strings.Replace(text, "y] #", "z] #", 1))
	p := e.expect("p.rego", `var z is unsafe`)
	if p.Diagnostics[0].Range.Start.Line != 3 {
		t.Error(p.Diagnostics)
	}
}
