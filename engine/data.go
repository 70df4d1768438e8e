package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/internal/dialect"
	"defenseclaw/engine/internal/jsonast"
	"defenseclaw/engine/source"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

func trimSpace(b []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
}

func parseData(file *source.File, before *parsed) *parsed {
	p := &parsed{file: file}
	value, d := p.decode(before)
	if d != nil {
		d.File = file.Path
		d.Text = diagnostic.Line(file.Bytes, d.Line)
		p.wrong = diagnostic.List{*d}
		return p
	}
	object, ok := value.(ast.Object)
	if !ok {
		p.wrong = diagnostic.List{{
			File: file.Path, Line: 1, Column: 1, Code: diagnostic.CodeDataNotObject, Text: diagnostic.Line(file.Bytes, 1),
			Message: fmt.Sprintf("the top level is of type %s; an object was expected", ast.ValueName(value)),
		}}
		return p
	}
	p.data = object
	return p
}

func (p *parsed) decode(before *parsed) (ast.Value, *diagnostic.Diagnostic) {
	text := bytes.TrimPrefix(p.file.Bytes, []byte("\xef\xbb\xbf"))
	if len(trimSpace(text)) == 0 {
		return nil, &diagnostic.Diagnostic{Line: 1, Column: 1, Code: diagnostic.CodeDataParse, Message: "the file is empty; an object was expected"}
	}
	isJSON := path.Ext(p.file.Path) == ".json"
	if isJSON {
		var previous *jsonast.Document
		if before != nil {
			previous = before.json
		}
		if document, err := jsonast.Parse(text, previous); err == nil {
			p.json = document
			return document.Value(), nil
		}
	}
	// The slow way, for YAML and to say what is wrong.
	var v any
	if isJSON {
		if d := decodeJSON(text, &v); d != nil {
			return nil, d
		}
	} else if err := util.Unmarshal(text, &v); err != nil {
		return nil, &diagnostic.Diagnostic{Line: yamlLine(err), Code: diagnostic.CodeDataParse, Message: err.Error()}
	}
	value, err := ast.InterfaceToValue(v)
	if err != nil {
		return nil, &diagnostic.Diagnostic{Code: diagnostic.CodeDataParse, Message: err.Error()}
	}
	return value, nil
}

// decodeJSON decodes exactly one value.
func decodeJSON(text []byte, v *any) *diagnostic.Diagnostic {
	decoder := util.NewJSONDecoder(bytes.NewReader(text))
	err := decoder.Decode(v)
	offset := decoder.InputOffset()
	var message string
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		rest := bytes.TrimLeft(text[offset:], " \t\r\n")
		if len(rest) == 0 {
			return nil
		}
		offset, message = int64(len(text)-len(rest)), "more text after the top-level value; the file must hold one JSON object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		offset, message = int64(len(bytes.TrimRight(text, " \t\r\n"))), "the JSON ends in the middle of a value"
	case errors.As(err, &syntax):
		offset, message = syntax.Offset-1, "not JSON: "+syntax.Error() // Offset counts the byte that was wrong
	default:
		message = "not JSON: " + err.Error()
	}
	line, column := diagnostic.Position(text, offset)
	return &diagnostic.Diagnostic{Line: line, Column: column, Code: diagnostic.CodeDataParse, Message: message}
}

var yamlLinePattern = regexp.MustCompile(`line (\d+)`)

// yamlLine digs the line out of the message, since OPA's YAML reader offers it no other way.
func yamlLine(err error) int {
	if m := yamlLinePattern.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return 0
}

// mergeData joins the data files into one document: the root's own, then the root's overlays, whose
// top-level keys replace those before them, then every folder's under the folder's path.
func mergeData(all []*parsed) (ast.Object, diagnostic.List) {
	m := merger{root: ast.NewObject()}
	for _, overlay := range []bool{false, true} {
		for _, p := range all {
			if p.data != nil && path.Dir(p.file.Rel()) == "." && (p.file.Kind() == source.KindOverlay) == overlay {
				m.add(p, nil)
			}
		}
	}
	for _, p := range all {
		if p.data != nil && len(p.folders()) > 0 {
			m.add(p, p.folders())
		}
	}
	return m.root, m.wrong.Sorted()
}

// folders are the path under which the data of the file lies.
func (p *parsed) folders() []string {
	dir := path.Dir(p.file.Rel())
	if dir == "." {
		return nil
	}
	return strings.Split(dir, "/")
}

type merger struct {
	root  ast.Object
	added []mergedFile
	wrong diagnostic.List
}

type mergedFile struct {
	*parsed
	doc ast.Object // as it lies in the whole document, under its folders
}

func (m *merger) add(p *parsed, folders []string) {
	doc := p.data
	for i := len(folders) - 1; i >= 0; i-- {
		doc = ast.NewObject(ast.Item(ast.StringTerm(folders[i]), ast.NewTerm(doc)))
	}
	if p.file.Kind() == source.KindOverlay {
		m.root = replaceKeys(m.root, doc)
	} else {
		m.root = m.merge(m.root, doc, p, nil)
	}
	m.added = append(m.added, mergedFile{p, doc})
}

// replaceKeys returns base with the top-level keys of over in place of its own.
func replaceKeys(base, over ast.Object) ast.Object {
	result := ast.NewObject()
	base.Foreach(func(k, v *ast.Term) { result.Insert(k, v) })
	over.Foreach(func(k, v *ast.Term) { result.Insert(k, v) })
	return result
}

// merge returns a new object that shares what it can with a and b.
func (m *merger) merge(a, b ast.Object, p *parsed, at ast.Ref) ast.Object {
	if a.Len() == 0 {
		return b
	}
	result := ast.NewObject()
	a.Foreach(func(k, v *ast.Term) { result.Insert(k, v) })
	b.Foreach(func(k, v *ast.Term) {
		old := a.Get(k)
		if old == nil {
			result.Insert(k, v)
			return
		}
		here := at.Append(k)
		oldObject, ok1 := old.Value.(ast.Object)
		newObject, ok2 := v.Value.(ast.Object)
		if ok1 && ok2 {
			result.Insert(k, ast.NewTerm(m.merge(oldObject, newObject, p, here)))
			return
		}
		m.wrong = append(m.wrong, m.conflict(p, here))
	})
	return result
}

// conflict says where both files set the value at a path.
func (m *merger) conflict(p *parsed, at ast.Ref) diagnostic.Diagnostic {
	const mostLocated = 100 // each reads its files once more
	d := diagnostic.Diagnostic{File: p.file.Path, Code: diagnostic.CodeDataConflict}
	first := m.owner(at)
	d.Message = fmt.Sprintf("%s is set here and in %s", dataPath(at), first.file.Path)
	if len(m.wrong) >= mostLocated {
		return d
	}
	keys := make([]string, 0, len(at))
	for _, t := range at {
		keys = append(keys, dialect.NameOf(t))
	}
	d.Line, d.Column, _ = p.locateKey(keys)
	d.Text = diagnostic.Line(p.file.Bytes, d.Line)
	if place, ok := first.locate(keys); ok {
		d.Details = []string{"also " + place}
	}
	d.Hint = "remove one of them; only data-*.json at the root may replace what data.json says"
	return d
}

// owner is the first file that set the value at a path.
func (m *merger) owner(at ast.Ref) *parsed {
	for _, f := range m.added {
		if _, err := f.doc.Find(at); err == nil {
			return f.parsed
		}
	}
	return m.added[0].parsed
}

func dataPath(at ast.Ref) string {
	return ast.Ref{ast.DefaultRootDocument}.Concat(at).String()
}
