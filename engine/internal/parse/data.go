package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"

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

func parseData(file *source.File, before *File) *File {
	p := &File{Source: file}
	value, d := p.decode(before)
	if d != nil {
		d.File = file.Path
		d.Text = diagnostic.Line(file.Bytes, d.Line)
		p.Wrong = diagnostic.List{*d}
		return p
	}
	object, ok := value.(ast.Object)
	if !ok {
		p.Wrong = diagnostic.List{{
			File: file.Path, Line: 1, Column: 1, Code: diagnostic.CodeDataNotObject, Text: diagnostic.Line(file.Bytes, 1),
			Message: fmt.Sprintf("the top level is of type %s; an object was expected", ast.ValueName(value)),
		}}
		return p
	}
	p.Data = object
	return p
}

func (p *File) decode(before *File) (ast.Value, *diagnostic.Diagnostic) {
	text := bytes.TrimPrefix(p.Source.Bytes, []byte("\xef\xbb\xbf"))
	if len(trimSpace(text)) == 0 {
		return nil, &diagnostic.Diagnostic{Line: 1, Column: 1, Code: diagnostic.CodeDataParse, Message: "the file is empty; an object was expected"}
	}
	isJSON := path.Ext(p.Source.Path) == ".json"
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
	// jsonast reads sound JSON only. YAML, and the message and place of an error, come from slower parsers.
	var v any
	if isJSON {
		if d := decodeJSON(text, &v); d != nil {
			return nil, d
		}
	} else if d := decodeYAML(text, &v); d != nil {
		return nil, d
	}
	value, err := ast.InterfaceToValue(v)
	if err != nil {
		return nil, &diagnostic.Diagnostic{Code: diagnostic.CodeDataParse, Message: err.Error()}
	}
	return value, nil
}

// decodeJSON decodes exactly one value.
func decodeJSON(text []byte, v *any) *diagnostic.Diagnostic {
	if many := new(jsonast.TooManyDigits); errors.As(jsonast.CheckNumbers(text), &many) {
		line, column := diagnostic.Position(text, int64(many.Offset))
		return &diagnostic.Diagnostic{
			Line: line, Column: column, Code: diagnostic.CodeDataParse,
			Message: fmt.Sprintf("the number has more than %d digits", jsonast.MaxDigits),
		}
	}
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

// decodeYAML decodes exactly one document as OPA does.
func decodeYAML(text []byte, v *any) *diagnostic.Diagnostic {
	err := CheckYAML(text, true)
	if err == nil {
		err = util.Unmarshal(text, v)
	}
	if err == nil {
		return nil
	}
	d := &diagnostic.Diagnostic{Code: diagnostic.CodeDataParse, Message: err.Error()}
	var wrong *YAMLError
	if errors.As(err, &wrong) {
		d.Line, d.Column, d.Message = wrong.Line, wrong.Column, wrong.Problem
	} else {
		d.Line = yamlLine(err)
	}
	return d
}

var yamlLinePattern = regexp.MustCompile(`line (\d+)`)

// yamlLine takes the line from the message: the YAML parser offers it in no other way.
func yamlLine(err error) int {
	if m := yamlLinePattern.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return 0
}

// Merge joins the data files into one document: first those at the root, then the root's overlays, whose
// top-level keys replace earlier ones, then those in folders, under the folder's path. Values that no other
// file changes are shared with the files. Two files that set one path are a diagnostic each.
func Merge(all []*File) (ast.Object, diagnostic.List) {
	m := merger{root: ast.NewObject()}
	for _, overlay := range []bool{false, true} {
		for _, p := range all {
			if p.Data != nil && len(p.Folders()) == 0 && (p.Source.Kind() == source.KindOverlay) == overlay {
				m.add(p, nil)
			}
		}
	}
	for _, p := range all {
		if p.Data != nil && len(p.Folders()) > 0 {
			m.add(p, p.Folders())
		}
	}
	return m.root, m.wrong.Sorted()
}

type merger struct {
	root  ast.Object
	added []mergedFile
	wrong diagnostic.List
}

type mergedFile struct {
	*File
	doc ast.Object // with the folders that it lies in
}

func (m *merger) add(p *File, folders []string) {
	doc := p.Data
	for i := len(folders) - 1; i >= 0; i-- {
		doc = ast.NewObject(ast.Item(ast.StringTerm(folders[i]), ast.NewTerm(doc)))
	}
	if p.Source.Kind() == source.KindOverlay {
		m.root = replaceKeys(m.root, doc)
	} else {
		m.root = m.merge(m.root, doc, p, nil)
	}
	m.added = append(m.added, mergedFile{p, doc})
}

// replaceKeys returns a copy of base in which the top-level keys of over replace those of base.
func replaceKeys(base, over ast.Object) ast.Object {
	result := ast.NewObject()
	base.Foreach(func(k, v *ast.Term) { result.Insert(k, v) })
	over.Foreach(func(k, v *ast.Term) { result.Insert(k, v) })
	return result
}

// merge returns a new object that shares values with a and b. Neither changes: generations share them.
func (m *merger) merge(a, b ast.Object, p *File, at ast.Ref) ast.Object {
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

// conflict is the diagnostic of a value that two files set.
func (m *merger) conflict(p *File, at ast.Ref) diagnostic.Diagnostic {
	const maxLocated = 100 // each one parses both files again
	d := diagnostic.Diagnostic{File: p.Source.Path, Code: diagnostic.CodeDataConflict}
	first := m.owner(at)
	d.Message = fmt.Sprintf("%s is set here and in %s", dataPath(at), first.Source.Path)
	if len(m.wrong) >= maxLocated {
		return d
	}
	keys := make([]string, 0, len(at))
	for _, t := range at {
		keys = append(keys, dialect.NameOf(t))
	}
	d.Line, d.Column, _ = p.locateKey(keys)
	d.Text = diagnostic.Line(p.Source.Bytes, d.Line)
	if place, ok := first.Locate(keys); ok {
		d.Details = []string{"also " + place}
	}
	d.Hint = "remove one of them; only data-sandbox.json and the overlays that are named in engine.overlays may replace what data.json says"
	return d
}

// owner is the first file that set the value at a path.
func (m *merger) owner(at ast.Ref) *File {
	for _, f := range m.added {
		if _, err := f.doc.Find(at); err == nil {
			return f.File
		}
	}
	return m.added[0].File
}

func dataPath(at ast.Ref) string {
	return ast.Ref{ast.DefaultRootDocument}.Concat(at).String()
}
