package corpus

import (
	"fmt"
	"strings"
)

// EditedUser is the key below data.users whose level is the version of [Users].
const EditedUser = "u000123"

// Users returns a data.json of about size bytes: what the tenants refer to, and many small objects below
// "users". One number in it is the version, so two versions differ in the value of one key. The edited
// user is there even if size is small.
func Users(size, version int) string {
	var b strings.Builder
	b.Grow(size + 1024)
	b.WriteString(`{"limits": {"requests": 100, "size": 4096}, "regions": ["eu", "us"], "users": {` + "\n")
	for i := 0; i <= 123 || b.Len() < size; i++ {
		if i > 0 {
			b.WriteString(",\n")
		}
		key, level := fmt.Sprintf("u%06d", i), i%10
		if key == EditedUser {
			level = version
		}
		fmt.Fprintf(&b, `"%s": {"name": "user-%d", "level": %d, "groups": ["g%d", "g%d", "staff"], "region": "%s", `,
			key, i, level, i%97, i%31, [2]string{"eu", "us"}[i%2])
		fmt.Fprintf(&b, `"limits": {"daily": %d, "burst": %d.5}, "active": %t, "mail": "user-%d@example.com", "notes": "%s"}`,
			i%1000, i%50, i%3 != 0, i, strings.Repeat("lorem ipsum ", i%8))
	}
	b.WriteString("\n}}\n")
	return b.String()
}

// A Question is one decision to ask for, with the right answer.
type Question struct {
	Path   string // below /v1/data
	Input  string // JSON
	Result string // JSON
}

// Small returns a policy of one module and a few roles, with questions for it.
func Small() (files map[string]string, questions []Question) {
	files = map[string]string{
		"rbac.rego": `package app.rbac

default allow := false

allow if {
	some role in data.users[input.user].roles
	some grant in data.roles[role]
	grant.action == input.action
	grant.resource == input.resource
}
`,
		"data.json": `{
  "users": {"alice": {"roles": ["admin"]}, "bob": {"roles": ["viewer", "editor"]}, "eve": {"roles": []}},
  "roles": {
    "viewer": [{"action": "read", "resource": "server"}, {"action": "read", "resource": "network"}],
    "editor": [{"action": "update", "resource": "server"}],
    "admin": [{"action": "read", "resource": "server"}, {"action": "update", "resource": "server"}, {"action": "delete", "resource": "server"}]
  }
}
`,
	}
	allowed := map[string]bool{"bob read": true, "bob update": true}
	for _, user := range []string{"alice", "bob", "eve"} {
		for _, action := range []string{"read", "update", "delete"} {
			right := allowed[user+" "+action] || user == "alice"
			questions = append(questions, Question{
				Path:   "app/rbac/allow",
				Input:  fmt.Sprintf(`{"user":%q,"action":%q,"resource":"server"}`, user, action),
				Result: fmt.Sprint(right),
			})
		}
	}
	return files, questions
}

// grantBytes is the approximate size of one grant of [Grants].
const grantBytes = 4600

// Grants returns a policy whose decision walks about size bytes of data, with questions for it.
func Grants(size int) (files map[string]string, questions []Question) {
	n := max(1, size/grantBytes)
	var b strings.Builder
	b.Grow(size + 1024)
	b.WriteString(`{"grants": [` + "\n")
	for i := range n {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `{"user": "user-%d", "action": "%s", "resource": "resource-%d", "terms": [`, i, [3]string{"read", "write", "delete"}[i%3], i%100)
		for j := range 40 {
			fmt.Fprintf(&b, `{"clause": %d, "text": "%s"}, `, j, strings.Repeat("subject to the terms ", 4))
		}
		fmt.Fprintf(&b, `"end of grant %d"]}`, i)
	}
	b.WriteString("\n]}\n")
	files = map[string]string{
		"grants.rego": `package app.grants

default allow := false

allow if {
	some grant in data.grants
	grant.user == input.user
	grant.action == input.action
	grant.resource == input.resource
}
`,
		"data.json": b.String(),
	}
	for i := range 16 {
		g := (i * 311) % n
		for _, resource := range []string{fmt.Sprintf("resource-%d", g%100), "none"} {
			questions = append(questions, Question{
				Path: "app/grants/allow",
				Input: fmt.Sprintf(`{"user":"user-%d","action":"%s","resource":"%s"}`, g,
					[3]string{"read", "write", "delete"}[g%3], resource),
				Result: fmt.Sprint(resource != "none"),
			})
		}
	}
	return files, questions
}
