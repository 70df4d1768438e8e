// Package corpus makes policy directories for the tests and benchmarks of this module, and for the
// comparison with other engines (cmd/policybench). [Tenants] is a few libraries and any number of tenants
// that each use two of them, [Users] is a large data file, [Small] and [Grants] are policies for
// measuring the throughput of decisions, and [Kinds] are those by which their cost is compared. The same arguments give the same bytes. The product does not
// import it.
package corpus

import (
	"fmt"
	"strings"
)

// Libraries is how many library modules a corpus has.
const Libraries = 8

// Tenants returns a corpus of n tenant modules of about 50 lines, the libraries, and a small data.json:
// file contents by slash-separated path.
func Tenants(n int) map[string]string {
	files := make(map[string]string, n+Libraries+1)
	for i := range Libraries {
		files[LibraryPath(i)] = Library(i, 0)
	}
	for i := range n {
		files[TenantPath(i)] = Tenant(i, 0)
	}
	files["data.json"] = `{"limits": {"requests": 100, "size": 4096}, "regions": ["eu", "us"]}` + "\n"
	return files
}

// LibraryPath returns the path of library i in the corpus.
func LibraryPath(i int) string { return fmt.Sprintf("lib/lib%d.rego", i) }

// TenantPath returns the path of tenant i in the corpus.
func TenantPath(i int) string { return fmt.Sprintf("tenants/t%03d/tenant%05d.rego", i/100, i) }

// Library returns library i. The version changes values inside it, but no name, type or signature: a
// change that other packages cannot see.
func Library(i, version int) string {
	return fmt.Sprintf(`# Library %[1]d: roles, limits and names.
package lib.lib%[1]d

version := %[2]d

roles := {
	"admin": {"read", "write", "delete"},
	"editor": {"read", "write"},
	"viewer": {"read"},
}

has_role(user, role) if {
	some r in user.roles
	r == role
}

may(user, action) if {
	some r in user.roles
	action in roles[r]
}

within_limit(size) if {
	size <= data.limits.size + %[2]d
}

normalised(name) := lower(trim_space(name))

score(request) := total if {
	parts := [p |
		some key, weight in {"size": 1, "age": 2}
		p := object.get(request, key, 0) * weight
	]
	total := sum(parts) + %[2]d
}

region_known(region) if region in data.regions
`, i, version)
}

// LibraryWithAnotherSignature returns library i after an edit that the packages using it can see:
// version is a string instead of a number, and there is one more rule.
func LibraryWithAnotherSignature(i, version int) string {
	text := Library(i, version)
	text = strings.Replace(text, fmt.Sprintf("version := %d", version), fmt.Sprintf(`version := "v%d"`, version), 1)
	return text + fmt.Sprintf("\nadded_%d := true\n", version)
}

// Tenant returns tenant i. The version changes values, but no name, type or signature.
func Tenant(i, version int) string { //nolint:funlen // it is a text
	a, b := i%Libraries, (i+3)%Libraries
	return fmt.Sprintf(`# Tenant %[1]d.
package tenants.t%[1]d

import data.lib.lib%[2]d
import data.lib.lib%[3]d as other

default allow := false

version := %[4]d

allow if {
	not denied
	lib%[2]d.may(input.user, input.action)
	other.within_limit(input.size)
}

allow if {
	lib%[2]d.has_role(input.user, "admin")
	input.tenant == "t%[1]d"
}

denied if {
	input.user.name in blocked
}

denied if {
	not other.region_known(input.region)
	input.action != "read"
}

blocked := {"mallory-%[1]d", "trudy-%[1]d"}

reasons contains reason if {
	denied
	reason := sprintf("tenant %%d refuses %%s", [%[1]d, input.user.name])
}

reasons contains "too large" if {
	not other.within_limit(input.size)
}

quota[action] := limit if {
	some action in {"read", "write", "delete"}
	limit := data.limits.requests * weight(action)
}

weight("read") := 10

weight("write") := 5

weight("delete") := %[4]d + 1

risk := value if {
	value := lib%[2]d.score(input) + %[4]d
} else := 0

name := other.normalised(input.user.name)

built_on := [lib%[2]d.version, other.version]
`, i, a, b, version)
}
