package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/engine"
)

// todo is the policy of a list of tasks: everybody reads, editors write what is theirs, and the
// administrator deletes whatever there is.
var todo = map[string]string{
	"todo.rego": `package todo

default allow := false

roles := data.members[input.subject.id] if input.subject.type == "user"

owned if input.resource.properties.owner == input.subject.id

allow if {
	input.action.name in {"can_read_user", "can_read_tasks"}
	count(roles) > 0
}

allow if {
	input.action.name == "can_create_task"
	some role in roles
	role in {"editor", "admin"}
}

allow if {
	input.action.name in {"can_update_task", "can_delete_task"}
	input.resource.type == "task"
	"editor" in roles
	owned
}

allow if {
	input.action.name == "can_delete_task"
	"admin" in roles
}

explained := {"decision": allow, "context": {"reason_user": {"en": reason}}}

reason := "yes" if allow
else := "frozen" if input.context.frozen
else := "no"

odd.text := "true"
odd.object := {"decision": "true"}
odd.context := {"decision": true, "context": "because"}
odd.fails := 1 / input.subject.properties.zero
odd.undefined if input.subject.id == "nobody"
`,
	"data.json": `{"members":{"ada@example.com":["admin"],"eve@example.com":["editor"],"vic@example.com":["viewer"]}}`,
}

// decidedBy is a sidecar whose AuthZEN evaluations are decided by a document of todo.
func decidedBy(t *testing.T, path ...string) *sidecar {
	return start(t, todo, func(c *api.Config, _ *engine.Config) { c.AuthZEN = path })
}

func user(id string) string { return fmt.Sprintf(`{"type":"user","id":%q}`, id) }

func taskOf(id string) string {
	return fmt.Sprintf(`{"type":"task","id":"1","properties":{"owner":%q}}`, id)
}

func TestAuthZENDecidesWhoMayDoWhatToTasks(t *testing.T) {
	s := decidedBy(t, "todo", "allow")
	const ada, eve, vic = "ada@example.com", "eve@example.com", "vic@example.com"
	for _, c := range []struct {
		who, action, owner string
		want               bool
	}{
		{ada, "can_read_user", eve, true}, {eve, "can_read_user", ada, true}, {vic, "can_read_user", ada, true}, {"mallory", "can_read_user", ada, false},
		{ada, "can_read_tasks", "", true}, {eve, "can_read_tasks", "", true}, {vic, "can_read_tasks", "", true}, {"mallory", "can_read_tasks", "", false},
		{ada, "can_create_task", "", true}, {eve, "can_create_task", "", true}, {vic, "can_create_task", "", false}, {"mallory", "can_create_task", "", false},
		{ada, "can_update_task", eve, false}, {eve, "can_update_task", eve, true}, {eve, "can_update_task", vic, false}, {vic, "can_update_task", vic, false},
		{ada, "can_delete_task", eve, true}, {eve, "can_delete_task", eve, true}, {eve, "can_delete_task", vic, false}, {vic, "can_delete_task", vic, false},
		{ada, "can_fly", "", false},
	} {
		body := fmt.Sprintf(`{"subject":%s,"action":{"name":%q},"resource":%s,"context":{"time":"now"}}`, user(c.who), c.action, taskOf(c.owner))
		status, answer, h := s.request("POST", "/access/v1/evaluation", body, "X-Request-ID: bfe9eb29-ab87")
		if status != 200 || answer != fmt.Sprintf(`{"decision":%v}`, c.want) {
			t.Errorf("%s %s of %s: %d %s", c.who, c.action, c.owner, status, answer)
		}
		if h.Get("X-Request-ID") != "bfe9eb29-ab87" || h.Get("Content-Type") != "application/json" || h.Get("X-DefenseClaw-Generation") != "1" {
			t.Errorf("%s %s: answered with %v", c.who, c.action, h)
		}
		status, answer, _ = s.request("POST", "/access/v1/evaluations", `{"evaluations":[`+body+`]}`)
		if status != 200 || answer != fmt.Sprintf(`{"evaluations":[{"decision":%v}]}`, c.want) {
			t.Errorf("a batch of %s %s of %s: %d %s", c.who, c.action, c.owner, status, answer)
		}
	}
}

func TestAuthZENEvaluationsInheritSharedFields(t *testing.T) {
	s := decidedBy(t, "todo", "allow")
	eve, vic := user("eve@example.com"), user("vic@example.com")
	shared := `"subject":` + eve + `,"action":{"name":"can_update_task"},"resource":` + taskOf("eve@example.com")
	for body, want := range map[string]string{
		`{` + shared + `,"evaluations":[{},{"subject":` + vic + `},{"resource":` + taskOf("x") + `},{"action":{"name":"can_read_user"},"subject":` + vic + `}]}`: `true,false,false,true`,
		`{` + shared + `,"evaluations":[{"resource":{"type":"task","id":"1"}}]}`:                                                                                 `false`, // an entity replaces the shared one whole
		`{` + shared + `,"evaluations":[{},{"subject":` + vic + `},{}],"options":{"evaluations_semantic":"execute_all"}}`:                                        `true,false,true`,
		`{` + shared + `,"evaluations":[{},{"subject":` + vic + `},{}],"options":{"evaluations_semantic":"deny_on_first_deny"}}`:                                 `true,false`,
		`{` + shared + `,"evaluations":[{"subject":` + vic + `},{},{}],"options":{"evaluations_semantic":"permit_on_first_permit","x":1}}`:                       `false,true`,
		`{` + shared + `,"evaluations":[{"subject":` + vic + `},{"subject":` + vic + `}],"options":{"evaluations_semantic":"permit_on_first_permit"}}`:           `false,false`,
	} {
		status, answer, _ := s.request("POST", "/access/v1/evaluations", body)
		var got struct{ Evaluations []struct{ Decision bool } }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", body, status, answer)
		}
		var decisions []string
		for _, e := range got.Evaluations {
			decisions = append(decisions, fmt.Sprint(e.Decision))
		}
		if strings.Join(decisions, ",") != want {
			t.Errorf("%s: %s; want %s", body, answer, want)
		}
	}
	for _, none := range []string{`{` + shared + `}`, `{` + shared + `,"evaluations":[]}`} {
		s.expect("POST", "/access/v1/evaluations", none, 200, `{"decision":true}`)
	}
}

func TestWhatABatchCannotDecideIsDeniedAndSaysWhy(t *testing.T) {
	s := decidedBy(t, "todo", "odd", "fails")
	const one = `"action":{"name":"a"},"resource":{"type":"t","id":"1"}`
	const body = `{` + one + `,"evaluations":[{"subject":{"type":"user","id":"u","properties":{"zero":0}}},{},{"subject":{"type":"user"}}]}`
	status, answer, _ := s.request("POST", "/access/v1/evaluations", body)
	for _, want := range []string{`[{"decision":false,"context":{"error":{"status":500,"message":"`, `divide by zero`,
		`{"decision":false,"context":{"error":{"status":400,"message":"subject is required"}}}`, `subject.id is required and must be a non-empty string`} {
		if status != 200 || !strings.Contains(answer, want) {
			t.Errorf("%d %s; want %s", status, answer, want)
		}
	}
	status, answer, _ = s.request("POST", "/access/v1/evaluations", strings.TrimSuffix(body, "}")+`,"options":{"evaluations_semantic":"deny_on_first_deny"}}`)
	if status != 200 || strings.Count(answer, "decision") != 1 {
		t.Errorf("%d %s: an evaluation that was not decided is a denial", status, answer)
	}
}

func TestADecisionOfAuthZENIsATruthOrAnObjectWithOne(t *testing.T) {
	const body = `{"subject":{"type":"user","id":"eve@example.com","properties":{"zero":0}},"action":{"name":"can_delete_task"},"resource":{"type":"task","id":"1"},"context":{"frozen":true}}`
	for _, c := range []struct {
		path   []string
		status int
		answer string
	}{
		{[]string{"todo", "allow"}, 200, `{"decision":false}`},
		{[]string{"todo", "explained"}, 200, `{"decision":false,"context":{"reason_user":{"en":"frozen"}}}`},
		{[]string{"todo", "odd", "undefined"}, 200, `{"decision":false}`},
		{[]string{"nothing"}, 200, `{"decision":false}`},
		{nil, 200, `{"decision":false}`}, // authzen/allow, which is not there
		{[]string{"todo", "odd", "text"}, 500, `neither a boolean nor an object`},
		{[]string{"todo", "odd", "object"}, 500, `decision is not a boolean`},
		{[]string{"todo", "odd", "context"}, 500, `context is not an object`},
		{[]string{"todo", "odd", "fails"}, 500, `divide by zero`},
	} {
		decidedBy(t, c.path...).expect("POST", "/access/v1/evaluation", body, c.status, c.answer)
	}
}

func TestAuthZENNamesWhatIsWrongWithARequest(t *testing.T) {
	s := decidedBy(t, "todo", "allow")
	const subject, action, resource = `"subject":{"type":"user","id":"u"}`, `"action":{"name":"a"}`, `"resource":{"type":"t","id":"1"}`
	for body, want := range map[string]string{
		`{` + action + `,` + resource + `}`:                                                                   "subject is required",
		`{"subject":{"id":"u"},` + action + `,` + resource + `}`:                                              "subject.type is required",
		`{"subject":{"type":"user","id":7},` + action + `,` + resource + `}`:                                  "subject.id is required and must be a non-empty string",
		`{` + subject + `,"action":{"name":""},` + resource + `}`:                                             "action.name is required",
		`{` + subject + `,` + action + `,"resource":{"type":"t"}}`:                                            "resource.id is required",
		`{` + subject + `,` + action + `,"resource":{"type":"t","id":"1","properties":[]}}`:                   "resource.properties is not an object",
		`{` + subject + `,` + action + `,` + resource + `,"context":"x"}`:                                     "context is not an object",
		`{"Subject":{"type":"user","id":"u"},` + action + `,` + resource + `}`:                                "subject is required",
		`{` + subject + `,"subject":{"type":"user"},` + action + `,` + resource + `}`:                         "subject.id is required", // the last counts, whole
		`{"subject":{"type":"user","id":"u","properties":{"n":1e999999999}},` + action + `,` + resource + `}`: "",
	} {
		s.expect("POST", "/access/v1/evaluation", body, http.StatusBadRequest, want)
		s.expect("POST", "/access/v1/evaluations", body, http.StatusBadRequest, want)
	}
	for more, want := range map[string]string{
		`"evaluations":{}`:                  "evaluations is not an array",
		`"evaluations":[7]`:                 "evaluations[0] is not an object",
		`"evaluations":[{},{"action":"a"}]`: "evaluations[1].action is not an object",
		`"options":{"evaluations_semantic":"guess"},"evaluations":[{}]`: "options.evaluations_semantic is",
		`"options":{"evaluations_semantic":["execute_all"]}`:            "options.evaluations_semantic is not a string",
	} {
		s.expect("POST", "/access/v1/evaluations", `{`+subject+`,`+action+`,`+resource+`,`+more+`}`, http.StatusBadRequest, want)
	}
	s.expect("POST", "/access/v1/evaluation", `{}`, http.StatusUnauthorized, "unauthorized", "Authorization: ")
	s.expect("POST", "/access/v1/evaluation", `{}`, http.StatusBadRequest, "Content-Type must be application/json", "Content-Type: text/plain")
	s.expect("GET", "/access/v1/evaluation", "", http.StatusMethodNotAllowed, "")
	empty := start(t, map[string]string{"p.rego": "package p\nx :="}, nil)
	empty.expect("POST", "/access/v1/evaluation", `{}`, http.StatusServiceUnavailable, "no policy loaded")
}

func TestAuthZENMetadataNamesTheEndpoints(t *testing.T) {
	s := decidedBy(t)
	status, answer, h := s.request("GET", "/.well-known/authzen-configuration", "")
	var got map[string]string
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 200 || h.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %v", status, answer, h)
	}
	if got["policy_decision_point"] != "http://"+s.addr {
		t.Errorf("the decision point is %s", got["policy_decision_point"])
	}
	for _, name := range []string{"access_evaluation_endpoint", "access_evaluations_endpoint"} {
		path, ok := strings.CutPrefix(got[name], "http://"+s.addr)
		if !ok {
			t.Errorf("%s is %s", name, got[name])
		}
		s.expect("POST", path, `{"subject":{"type":"user","id":"u"},"action":{"name":"a"},"resource":{"type":"t","id":"1"}}`, 200, `{"decision":false}`)
	}
}
