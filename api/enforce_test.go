package api_test

import (
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api/gate"
)

// The routes of the original gateway, on the lists by which admission decides.
func TestTheRoutesOfTheOriginalChangeTheLists(t *testing.T) {
	s := fullOf(t, map[string]string{"p.rego": "package p\n"})
	const client = gate.HeaderClient + ": test"
	do := func(method, path, body, want string) {
		t.Helper()
		s.expect(method, path, body, http.StatusOK, want, client)
	}
	do("GET", "/enforce/blocked", "", "[]")
	do("POST", "/enforce/block", `{"target_type":"skill","target_name":"x","reason":"stole keys"}`, `{"status":"blocked"}`)
	do("GET", "/enforce/blocked", "", `"target_type":"skill","target_name":"x","reason":"stole keys","updated_at":"`)
	do("GET", "/policy/lists", "", `"reason":"stole keys"`)
	do("POST", "/enforce/allow", `{"target_type":"skill","target_name":"x"}`, `{"status":"allowed"}`)
	do("GET", "/enforce/blocked", "", "[]")
	do("GET", "/enforce/allowed", "", `"reason":"allowed by POST /enforce/allow"`)
	do("POST", "/enforce/allow", `{"target_type":"plugin","target_name":"/opt/plugins/helper"}`, `{"status":"allowed"}`)
	do("GET", "/enforce/allowed", "", `"target_name":"helper"`)
	do("DELETE", "/enforce/block", `{"target_type":"skill","target_name":"x"}`, `{"status":"unblocked"}`)
	do("DELETE", "/enforce/block", `{"target_type":"skill","target_name":"x"}`, `{"status":"unblocked"}`)
	do("GET", "/policy/lists", "", `"block":[],"allow":[{"list":"allow","target_type":"plugin"`)

	s.expect("POST", "/enforce/block", `{"target_type":"skill"}`, http.StatusBadRequest, "target_type and target_name are required", client)
	s.expect("POST", "/enforce/block", `{"target_type":"skill","target_name":"x"}`, http.StatusForbidden, "")
	s.expect("DELETE", "/enforce/allow", `{"target_type":"skill","target_name":"x"}`, http.StatusMethodNotAllowed, "", client)
	s.expect("GET", "/enforce/block", "", http.StatusMethodNotAllowed, "")
	s.expect("POST", "/enforce/block", `{"target_type":"skill","target_name":"`+strings.Repeat("x", 600)+`"}`, http.StatusBadRequest, "target_name has 600 bytes", client)
}

// An entry that was imported may have a name that no other may, and can be taken off again.
func TestAnImportedEntryCanBeTakenOff(t *testing.T) {
	s := fullOf(t, map[string]string{"p.rego": "package p\n"})
	const client = gate.HeaderClient + ": test"
	long := strings.Repeat("x", 600) + `\n`
	s.expect("POST", "/policy/lists/import", `{"source":"/a/audit.db","entries":[{"list":"block","target_type":"skill","target_name":"`+long+`"}]}`,
		http.StatusOK, `"blocked":1,"allowed":0,"kept":0,"left_out":[]`, client)
	s.expect("POST", "/policy/lists/import", `{"source":"/a/audit.db","entries":[{"list":"allow","target_type":"skill","target_name":"`+long+`"}]}`,
		http.StatusBadRequest, "entries[0]: target_name has 601 bytes", client)
	s.expect("DELETE", "/enforce/block", `{"target_type":"skill","target_name":"`+long+`"}`, http.StatusOK, "unblocked", client)
	s.expect("GET", "/enforce/blocked", "", http.StatusOK, "[]")
}
