package builtins_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Each schema refers to a file or a server in a way of its own; FILE and HTTP stand for their addresses.
var reachingOut = []string{
	`{"$ref": "FILE"}`,
	`{"$ref": "FILE#/a"}`,
	`{"$id": "file:///x/y", "$ref": "FILE"}`,
	`{"$id": "DIR", "allOf": [{"$ref": "secret"}]}`,
	`{"id": "DIR", "allOf": [{"$ref": "secret"}]}`,
	`{"enum": [{"$ref": "FILE"}], "allOf": [{"$ref": "#/enum/0"}]}`,
	`{"properties": {"a": {"$ref": "UPPER"}}}`,
	`{"$ref": "HTTP"}`,
	`{"$id": "HTTP", "allOf": [{"$ref": "other"}]}`,
	`{"definitions": {"a": {"$ref": "HTTP"}}}`,
	`{"$schema": "HTTP", "$ref": "HTTP#"}`,
	`{"const": {"$ref": "HTTP"}, "allOf": [{"$ref": "#/const"}]}`,
}

func TestSchemasReachNeitherFilesNorServers(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	var reached atomic.Int64
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_ = c.Close()
		}
	}()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(`{"type": "string"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := strings.NewReplacer("FILE", "file://"+secret, "DIR", "file://"+dir+"/", "HTTP", "http://"+server.Addr().String(), "UPPER", "FiLe://"+secret)
	for _, template := range reachingOut {
		schema := addresses.Replace(template)
		for _, spelled := range []*ast.Term{ast.MustParseTerm(schema), ast.StringTerm(schema)} {
			if got, err := call("json.match_schema", time.Minute, ast.MustParseTerm(`{"a": 1}`), spelled); err == nil {
				t.Errorf("json.match_schema({}, %s) = %s", schema, got)
			}
			if got := valueOf(t, "json.verify_schema", spelled.String()).(*ast.Array); got.Elem(0).Value != ast.Boolean(false) {
				t.Errorf("json.verify_schema(%s) = %v", schema, got)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}
