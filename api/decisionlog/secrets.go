package decisionlog

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// secretNames are the names of fields that hold secrets, in lower case and without - and _. Texts and lists
// of texts in such fields are erased at any depth, unless the mask policy has replaced them.
var secretNames = map[string]bool{
	"authorization": true, "proxyauthorization": true, "cookie": true, "setcookie": true,
	"token": true, "accesstoken": true, "refreshtoken": true, "idtoken": true, "bearertoken": true, "sessiontoken": true,
	"password": true, "passwd": true, "passphrase": true, "secret": true, "clientsecret": true, "secretkey": true,
	"apikey": true, "xapikey": true, "privatekey": true, "credentials": true, "jwt": true,
	"xdefenseclawtoken": true, "xdcauth": true, "xauthtoken": true, "xamzsecuritytoken": true, "xcsrftoken": true,
}

var plainName = strings.NewReplacer("-", "", "_", "")

// eraseSecrets erases secrets, which it recognizes by the name of the field or by the text.
func (e *event) eraseSecrets() {
	e.Input = e.erase(e.Input, "", "input")
	e.Result = e.erase(e.Result, e.Path[strings.LastIndexByte(e.Path, '/')+1:], "result")
}

// erase returns a document without its secrets, or nil if all of it is one under its name.
func (e *event) erase(document *any, name, part string) *any {
	if document == nil {
		return nil
	}
	if isSecret(name, *document) && e.eraseAt([]string{part}) {
		return nil
	}
	e.eraseBelow(*document, []string{part})
	return document
}

// eraseBelow visits fields in order of their names, so that the output is deterministic. An element of an
// array becomes null, so that the indices of the others stay valid.
func (e *event) eraseBelow(node any, path []string) {
	switch node := node.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(node)) {
			here := append(slices.Clip(path), name)
			if !isSecret(name, node[name]) {
				e.eraseBelow(node[name], here)
			} else if e.eraseAt(here) {
				delete(node, name)
			}
		}
	case []any:
		for i, item := range node {
			here := append(slices.Clip(path), strconv.Itoa(i))
			if !isSecret("", item) {
				e.eraseBelow(item, here)
			} else if e.eraseAt(here) {
				node[i] = nil
			}
		}
	}
}

// eraseAt adds path to Erased and returns true, unless the mask policy put the value there.
func (e *event) eraseAt(path []string) bool {
	where := pointer(path)
	if slices.Contains(e.Masked, where) {
		return false
	}
	e.Erased = append(e.Erased, where)
	return true
}

func isSecret(name string, v any) bool {
	if text, ok := v.(string); ok && holdsSecret(text) {
		return true
	}
	return isSecretName(name) && isText(v)
}

func isSecretName(name string) bool { return secretNames[plainName.Replace(strings.ToLower(name))] }

const bearer = "Bearer "

// holdsSecret looks for secrets within a text: the value of a header, a URL with a query, a form, or JSON.
func holdsSecret(text string) bool {
	if len(text) > len(bearer) && strings.EqualFold(text[:len(bearer)], bearer) {
		return true
	}
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var document any
		found := &event{}
		if json.Unmarshal([]byte(trimmed), &document) == nil {
			found.eraseBelow(document, nil)
		}
		return len(found.Erased) > 0
	}
	if _, query, ok := strings.Cut(text, "?"); ok {
		text = query
	}
	for field := range strings.SplitSeq(text, "&") {
		if name, value, ok := strings.Cut(field, "="); ok && value != "" && isSecretName(name) {
			return true
		}
	}
	return false
}

// isText reports whether v can be a secret: a text, or a list of texts only.
func isText(v any) bool {
	if list, ok := v.([]any); ok {
		return len(list) > 0 && !slices.ContainsFunc(list, func(item any) bool { _, ok := item.(string); return !ok })
	}
	_, ok := v.(string)
	return ok
}
