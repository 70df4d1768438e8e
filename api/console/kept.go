package console

import (
	"net/http"
	"net/url"
	"strings"

	"defenseclaw/api"
)

// keptForms are the forms that people write in, by the end of their address, with the fields that are kept where a form comes
// after its session: a browser without scripts has nowhere else to keep what was typed.
var keptForms = map[string]struct {
	fields []string
	show   page
}{
	"order": {append([]string{"order", "reason"}, orderFields...), (*visit).againOrder},
	"try":   {[]string{"path", "at", "beside", "time", "input"}, (*visit).againTry},
}

// keptPrefix begins the names of kept fields in the form to sign in. The field keptForm names the form that they are of.
const (
	keptForm   = "kept"
	keptPrefix = "kept."
)

// kept is what a form had in it.
type kept struct {
	form   string // a key of keptForms
	values url.Values
}

// keptOf is what comes with a form that cannot be taken: one of the console's own page, or that to sign in, which has kept it.
func keptOf(r *http.Request) (kept, bool) {
	if r.Method != http.MethodPost || !ownOrigin(r) || r.ParseForm() != nil {
		return kept{}, false
	}
	k, prefix := kept{form: strings.TrimPrefix(r.URL.Path, api.ConsolePrefix), values: url.Values{}}, ""
	if k.form == "enter" {
		k.form, prefix = r.PostFormValue(keptForm), keptPrefix
	}
	form, ok := keptForms[k.form]
	for _, name := range form.fields {
		if value := r.PostFormValue(prefix + name); value != "" {
			k.values.Set(name, value)
		}
	}
	return k, ok
}

// fields are what the form to sign in has of it.
func (k kept) fields() (all [][2]string) {
	for _, name := range keptForms[k.form].fields {
		if value := k.values.Get(name); value != "" {
			all = append(all, [2]string{keptPrefix + name, value})
		}
	}
	return append(all, [2]string{keptForm, k.form})
}

// again shows the form with what was typed, and does nothing: who sends it now is asked to look at it.
func (c *Console) again(v *visit, k kept, status int) {
	r := v.r.Clone(v.r.Context())
	r.URL = &url.URL{Path: api.ConsolePrefix + k.form}
	r.Form, r.PostForm = k.values, k.values
	v.r, v.again, v.status = r, true, status
	if err := inRoom(keptForms[k.form].show)(v); err != nil {
		v.failed(err)
	}
}

func (v *visit) againOrder() error { return v.showOrder("") }
func (v *visit) againTry() error   { return v.console.try(v) }
