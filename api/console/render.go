package console

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"defenseclaw/api"
)

//go:embed templates static
var content embed.FS

// pages are all templates, which are read when the first page is asked for: many sidecars show none, and reading them took
// a twentieth of a start.
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"short": short, "ago": ago, "when": when, "instant": instant, "plural": plural[int], "join": strings.Join,
		"link": link, "caret": caret, "raw": raw, "indented": indented, "outcomeLevel": outcomeLevel, "fileAt": fileAt, "stretch": stretch, "stretches": stretches,
		"mark": mark, "reloadLevel": reloadLevel, "flipLevel": flipLevel, "flipWord": flipWord, "clock": clock, "plural64": plural[uint64],
	}).ParseFS(content, "templates/*.html"))
})

// frame is what each page has around it.
type frame struct {
	Title   string // the subject of the page, or the name of one that has no other
	Page    string // the first part of its address, which the navigation marks
	Prefix  string
	Form    string // the session's value; empty: nobody is signed in
	Who     string
	Version string
	Editor  bool // it has elements with data-editor, which a script turns into editors
	Plots   bool // it has elements with data-plot, which a script turns into plots
	Again   bool // it is a form that came after its session had ended
}

// navigation is a link to one of the pages.
type navigation struct {
	Prefix, To, Text string
	Here             bool
}

// link is called by the frame's template. to is the first part of the page's address.
func link(page any, to, text string) (navigation, error) {
	f, ok := page.(interface{ around() frame })
	if !ok {
		return navigation{}, fmt.Errorf("%T has no frame", page)
	}
	here := f.around()
	return navigation{here.Prefix, to, text, here.Page == to}, nil
}

func (f frame) around() frame { return f }

// pageNames are those of the navigation, by the first part of an address.
var pageNames = map[string]string{
	"": "Now", "order": "Now", "timeline": "Timeline", "compare": "Timeline", "decisions": "Decisions", "try": "Try", "policy": "Policy", "fleet": "Fleet",
}

// PageName is the page that the title's subject is on; empty: the title is the page's name.
func (f frame) PageName() string {
	if name := pageNames[f.Page]; f.Form != "" && name != f.Title {
		return name
	}
	return ""
}

// caret marks a column of a line, whose tabs stay as wide as they are.
func caret(column int, line string) string {
	var b strings.Builder
	for i, r := range line {
		if i >= column-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String() + "^"
}

func (c *Console) frame(r *http.Request, title string, s *session) frame {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, api.ConsolePrefix), "/")
	f := frame{Title: title, Page: first, Prefix: api.ConsolePrefix, Version: c.cfg.Version}
	if s != nil {
		f.Form, f.Who = s.form, s.caller.Name
	}
	return f
}

// frame is that of a visit's page.
func (v *visit) frame(title string) frame {
	f := v.console.frame(v.r, title, v.session)
	f.Again = v.again
	return f
}

// frameWithEditor is that of a page that has elements with data-editor, or gets some later.
func (v *visit) frameWithEditor(title string) frame {
	f := v.frame(title)
	f.Editor = true
	return f
}

// show answers with a page, or with the part of it that a script asked for.
func (v *visit) show(name string, data any) error {
	if part := v.r.URL.Query().Get("part"); part != "" && (v.r.Header.Get("Hx-Request") != "" || v.stream != nil) {
		name += "-" + part
	}
	if pages().Lookup(name) == nil {
		return &answerError{Path: name, Status: http.StatusNotFound, Message: "there is no such part"}
	}
	var page bytes.Buffer // all of it is made before any is sent
	var err error
	if left := v.computing(func() { err = pages().ExecuteTemplate(&page, name, data) }); left != nil || err != nil {
		return cmp.Or(left, err)
	}
	v.outOfRoom()
	if v.stream != nil {
		v.stream.Send("result", page.Bytes())
		return nil
	}
	send(v.w, cmp.Or(v.status, http.StatusOK), page.Bytes())
	return nil
}

// render makes a page that is none of a session's, and sends it.
func (c *Console) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages().ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, "the page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, status, page.Bytes())
}

func send(w http.ResponseWriter, status int, page []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // who left needs no page
}

// failPage is what the template of an error shows.
type failPage struct {
	frame

	Status  int
	Message string
}

func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, message string) {
	c.failFor(w, r, nil, status, message)
}

func (c *Console) failFor(w http.ResponseWriter, r *http.Request, s *session, status int, message string) {
	c.render(w, status, "fail", failPage{frame: c.frame(r, http.StatusText(status), s), Status: status, Message: message})
}

// failed answers with what went wrong.
func (v *visit) failed(err error) {
	status, message := http.StatusInternalServerError, err.Error()
	if answer := (&answerError{}); errors.As(err, &answer) {
		status, message = answer.Status, answer.Message
	}
	if v.stream != nil {
		text, _ := json.Marshal(progress{Text: message}) // of strings and numbers
		v.stream.Send("failed", text)
		return
	}
	v.console.failFor(v.w, v.r, v.session, status, message)
}

// static serves the files that pages load.
func (c *Console) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	file, packed, err := staticFile(path.Base(name)) // a name may have an escaped slash in it
	if err == nil && packed && !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		file, packed, err = unpacked(file)
	}
	if err != nil {
		c.noPage(w, r)
		return
	}
	if packed {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Vary", "Accept-Encoding")
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "private, max-age=3600")
	_, _ = w.Write(file)
}

// staticFile is a file as it is in the program: the larger ones are packed by gzip.
func staticFile(name string) (file []byte, packed bool, err error) {
	if file, err = content.ReadFile("static/" + name + ".gz"); err == nil {
		return file, true, nil
	}
	file, err = content.ReadFile("static/" + name)
	return file, false, err
}

func unpacked(file []byte) (_ []byte, packed bool, err error) {
	r, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, false, err
	}
	text, err := io.ReadAll(r)
	return text, false, err
}

var contentTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// short is the beginning of a revision, as commands show it.
func short(revision string) string {
	const digits = 12
	if hash, ok := strings.CutPrefix(revision, "sha256:"); ok && len(hash) > digits {
		return hash[:digits]
	}
	return revision
}

// instant is a time for machines.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// when is a time for people, in one place of the world for all who read it.
func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// clock is the hour and minute of a time, in the same place.
func clock(t time.Time) string { return t.UTC().Format("15:04") }

// ago is how long ago a time was.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

// raw is a JSON text as one line; what is left out is undefined.
func raw(text json.RawMessage) string {
	if len(text) == 0 {
		return "undefined"
	}
	return unescaped.Replace(string(text))
}

// unescaped writes as themselves what the API escapes in JSON because of browsers: templates do that here.
var unescaped = strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// indented is a JSON text on as many lines as it needs.
func indented(text json.RawMessage) string {
	var out bytes.Buffer
	if json.Indent(&out, text, "", "  ") != nil {
		return unescaped.Replace(string(text))
	}
	return unescaped.Replace(out.String())
}

// plural says how many there are.
func plural[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
