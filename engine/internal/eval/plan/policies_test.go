package plan_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

type object = map[string]any

// policy is one of five that stand for what is decided in practice.
type policy struct {
	name    string
	modules []string
	data    object
	path    string
	input   object
}

func policies(t testing.TB) []policy {
	t.Helper()
	text := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const pack = "../../../../policies/rego/"
	var packData object
	if err := json.Unmarshal([]byte(text(pack+"data.json")), &packData); err != nil {
		t.Fatal(err)
	}
	return []policy{
		{"rbac", []string{text("testdata/rbac.rego")}, rbacData(), "data.authz.allow", object{"user": "user1234", "action": "write", "resource": "res7"}},
		{"k8s", []string{text("testdata/k8s.rego")}, nil, "data.kubernetes.admission.response", k8sInput()},
		{"api", []string{text("testdata/api.rego")}, apiData(), "data.gateway.allow", apiInput()},
		{"pack", []string{text(pack + "admission.rego"), text(pack + "skill_actions.rego")}, packData, "data.defenseclaw.admission", object{
			"target_type": "skill", "target_name": "weather", "path": "/home/u/.skills/weather", "block_list": []any{}, "allow_list": []any{},
			"scan_result": object{"max_severity": "HIGH", "total_findings": 2, "scanner_name": "s", "findings": []any{object{"severity": "HIGH", "scanner": "s", "title": "t"}}},
		}},
		{"terra", []string{text("testdata/terra.rego")}, nil, "data.terraform.review", terraInput()},
	}
}

func (p policy) corpus(t testing.TB) *corpus {
	t.Helper()
	data := "{}"
	if p.data != nil {
		b, _ := json.Marshal(p.data)
		data = string(b)
	}
	return mustCorpus(t, data, p.modules...)
}

func rbacData() object {
	users, r := []any{}, rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		users = append(users, object{
			"name": fmt.Sprintf("user%d", i), "roles": []any{fmt.Sprintf("role%d", r.IntN(40))}, "groups": []any{fmt.Sprintf("g%d", r.IntN(50))},
		})
	}
	groups, perms := object{}, object{}
	for i := range 50 {
		groups[fmt.Sprintf("g%d", i)] = []any{fmt.Sprintf("role%d", r.IntN(40)), fmt.Sprintf("role%d", r.IntN(40))}
	}
	for i := range 40 {
		all := []any{}
		for range 24 {
			all = append(all, object{"action": []string{"read", "write"}[r.IntN(2)], "resource": fmt.Sprintf("res%d", r.IntN(60))})
		}
		perms[fmt.Sprintf("role%d", i)] = all
	}
	return object{"users": users, "groups": groups, "permissions": perms, "denials": []any{
		object{"user": "user7", "resource": "res7"}, object{"user": "user8", "resource": "res9"},
	}}
}

func k8sInput() object {
	containers := []any{}
	for i := range 5 {
		containers = append(containers, object{
			"name": fmt.Sprintf("c%d", i), "image": fmt.Sprintf("registry.example.com/team/app%d:1.2.%d", i, i),
			"resources":       object{"limits": object{"memory": "1Gi", "cpu": "1"}, "requests": object{"memory": "512Mi", "cpu": "250m"}},
			"securityContext": object{"privileged": i == 3, "capabilities": object{"add": []any{"CHOWN", "SYS_ADMIN"}[:1+i%2]}},
			"livenessProbe":   object{"httpGet": object{"path": "/healthz", "port": 8080}}, "readinessProbe": object{"httpGet": object{"path": "/ready", "port": 8080}},
			"env":   []any{object{"name": "A", "value": "1"}, object{"name": "B", "value": "2"}, object{"name": "C", "valueFrom": object{"secretKeyRef": object{"name": "s", "key": "k"}}}},
			"ports": []any{object{"containerPort": 8080, "protocol": "TCP"}}, "volumeMounts": []any{object{"name": "v", "mountPath": "/data"}},
		})
	}
	return object{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": object{
		"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "prod",
		"userInfo": object{"username": "ci", "groups": []any{"system:authenticated", "ci"}},
		"object": object{"metadata": object{"name": "web", "labels": object{"app": "web", "team": "a", "tier": "front"}},
			"spec": object{"containers": containers, "serviceAccountName": "web", "nodeSelector": object{"zone": "a"}}},
	}}
}

func apiData() object {
	routes, networks := []any{}, []any{}
	for i := range 31 {
		routes = append(routes, object{"path": fmt.Sprintf("/v1/service%d/*/items/**", i), "methods": []any{"GET", "POST"}, "scope": fmt.Sprintf("svc%d:read", i), "public": i == 30})
	}
	for i := range 20 {
		networks = append(networks, fmt.Sprintf("10.%d.0.0/16", i))
	}
	return object{"routes": routes, "networks": networks, "secret": "secret"}
}

func apiInput() object {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(object{"alg": "HS256", "typ": "JWT"}) + "." + part(object{"sub": "u", "scopes": []string{"svc1:read", "svc17:read"}, "exp": 1800000000})
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(text))
	return object{"method": "GET", "path": "/v1/service17/a/items/b/c", "source": "10.17.3.4",
		"headers": object{"authorization": "Bearer " + text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), "accept": "*/*"}}
}

func terraInput() object {
	kinds, actions := []string{"aws_instance", "aws_autoscaling_group", "aws_s3_bucket", "aws_iam", "aws_vpc"}, []string{"create", "delete", "update"}
	changes := []any{}
	for i := range 40 {
		changes = append(changes, object{
			"address": fmt.Sprintf("%s.r%d", kinds[i%4], i), "type": kinds[i%5], "name": fmt.Sprintf("r%d", i), "mode": "managed",
			"change": object{"actions": []any{actions[i%3]}, "before": nil, "after": object{"tags": object{[]string{"owner", "name"}[i%2]: "x"}}},
		})
	}
	return object{"format_version": "1.0", "resource_changes": changes}
}

func term(v any) *ast.Term { return ast.NewTerm(ast.MustInterfaceToValue(v)) }

func TestTheFivePoliciesAreDecidedByPrograms(t *testing.T) {
	for _, p := range policies(t) {
		c, ref := p.corpus(t), ast.MustParseRef(p.path)
		program, err := c.program(t.Context(), ref)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		for i := range 60 {
			input := p.input
			if i > 0 {
				input, _ = mutated(rand.New(rand.NewPCG(uint64(i), 3)), p.input).(object)
			}
			if !c.sameAsTopdown(t, program, ref, term(input)) && i == 0 {
				_, _, err := program.Evaluate(call(t.Context(), term(input), true))
				t.Errorf("%s is left to topdown: %v", p.name, err)
			}
		}
	}
}

// mutated is a copy of an input with random changes.
func mutated(r *rand.Rand, v any) any {
	if r.IntN(40) == 0 {
		return []any{nil, true, false, 0, 1, -1.5, "", "x", []any{}, object{}, []any{"a", 1}, object{"a": 1}}[r.IntN(12)]
	}
	switch v := v.(type) {
	case object:
		out := object{}
		for k, x := range v {
			if r.IntN(40) > 0 {
				out[k] = mutated(r, x)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			if r.IntN(30) > 0 {
				out = append(out, mutated(r, x))
			}
		}
		return out
	default:
		return v
	}
}

func BenchmarkPolicies(b *testing.B) {
	for _, p := range policies(b) {
		c, ref, input := p.corpus(b), ast.MustParseRef(p.path), term(p.input)
		program, err := c.program(b.Context(), ref)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(p.name+"/program", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := program.Evaluate(call(b.Context(), input, true)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.name+"/topdown", func(b *testing.B) {
			b.ReportAllocs()
			evaluate := c.preparedTopdown(b, ref)
			for b.Loop() {
				evaluate(input)
			}
		})
	}
}
