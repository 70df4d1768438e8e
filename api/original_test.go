package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api"
	"defenseclaw/api/audit"
)

// shape is the names and the types of a JSON value: those of objects' fields, sorted, and of an array's first item.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var fields []string
		for name, field := range v {
			fields = append(fields, name+":"+shape(field))
		}
		slices.Sort(fields)
		return "{" + strings.Join(fields, " ") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shape(v[0]) + "]"
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "bool"
	default:
		return fmt.Sprint(v)
	}
}

const (
	guardrailShape = "block_message:text connector:text hilt_enabled:bool hilt_min_severity:text mode:text scanner_mode:text"
	partShape      = "{since:text state:text}"
	connectorShape = "{connector:text enforcement_surface:text mode:text policy_mode:text proxy_intercept:bool telemetry:[]}"
	alertShape     = "{action:text actor:text details:text id:text request_id:text run_id:text severity:text structured:%s target:text timestamp:text}"
	eventShape     = "{action:text actor:text details:text severity:text target:text}"
)

// originalShapes are the requests that clients of the original gateway send, and the names and types of the answers that they read.
var originalShapes = []struct {
	method, path, body string
	status             int
	shape              string
}{
	{"POST", "/audit/event", `{"action":"skill-installed","target":"skill/a","details":"d","severity":"medium"}`, 200, "{status:text}"},
	{"GET", "/alerts?limit=1", "", 200, "[" + fmt.Sprintf(alertShape, eventShape) + "]"},
	{"POST", "/scan/result", `{"scanner":"s","target":"t","timestamp":"2026-01-02T03:04:05Z","findings":[{"id":"1","severity":"CRITICAL","title":"x","description":"y","location":"l","remediation":"r","scanner":"s","tags":[]}],"duration":5}`, 200, "{status:text}"},
	{"POST", "/v1/guardrail/event", `{"evaluation_id":"e","direction":"prompt","model":"m","action":"block","severity":"HIGH","reason":"r","findings":["f"],"elapsed_ms":1.5,"cisco_elapsed_ms":0,"tokens_in":1}`, 200, "{status:text}"},
	{"POST", commandRoute, `{"kind":"action","run_id":"r","action":{"name":"policy-activate","target":"strict","details":"d"}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"activity","activity":{"actor":"cli","action":"config-update","target_type":"config","target_id":"x","before":{"a":1},"diff":[{"path":"/a","op":"replace"}],"severity":"INFO"}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"alert","alert":{"source":"doctor","summary":"s","details":{"a":1}}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"scan","scan":{"scanner":"s","target":"t","timestamp":"2026-01-02T03:04:05Z","findings":[],"duration_ms":5}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"llm_bridge","llm_bridge":{"model":"m","status":"success","duration_ms":5.5}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"webhook_delivery","webhook_delivery":{"webhook_kind":"slack","target_url":"https://h/x","status_code":200,"duration_ms":1,"succeeded":true}}`, 204, ""},
	{"POST", commandRoute, `{"kind":"action","action":{"name":"a"},"alert":{"source":"s"}}`, 400, "{error:text}"},
	{"POST", "/audit/event", `{"target":"t"}`, 400, "{error:text}"},
	{"GET", "/v1/guardrail/config", "", 200, "{" + guardrailShape + "}"},
	{"PATCH", "/v1/guardrail/config", `{"mode":"action","hilt_enabled":true}`, 200, "{block_message:text changed:[text] connector:text hilt_enabled:bool hilt_min_severity:text live:bool mode:text scanner_mode:text status:text}"},
	{"PATCH", "/v1/guardrail/config", `{"block_message":"m"}`, 202, "{block_message:text changed:[text] connector:text hilt_enabled:bool hilt_min_severity:text live:bool mode:text scanner_mode:text status:text}"},
	{"PATCH", "/v1/guardrail/config", `{"connector":"c"}`, 409, "{changed:[text] error:text restart_required:[text]}"},
	{"PATCH", "/v1/guardrail/config", `{}`, 400, "{error:text}"},
	{"GET", "/status", "", 200, "{connector_mode:" + connectorShape + " connector_modes:[] health:{ai_discovery:" + partShape + " api:" + partShape + " application_protection:" + partShape +
		" config:" + partShape + " gateway:" + partShape + " guardrail:{details:{policy:text} since:text state:text} started_at:text telemetry:" + partShape + " uptime_ms:number watcher:" + partShape +
		"} provenance:{binary_version:text content_hash:text generation:number schema_version:number} runtime:{data_dir:text pid:number}}"},
}

func TestClientsOfTheOriginalFindItsRoutesAndFieldNames(t *testing.T) {
	s := full(t)
	for _, q := range originalShapes {
		status, answer, _ := s.request(q.method, q.path, q.body, clientHeader)
		got := ""
		if answer != "" {
			var v any
			if err := json.Unmarshal([]byte(answer), &v); err != nil {
				t.Errorf("%s %s: %s: %v", q.method, q.path, answer, err)
			}
			got = shape(v)
		}
		if status != q.status || got != q.shape {
			t.Errorf("%s %s: %d %s; want %d %s", q.method, q.path, status, got, q.status, q.shape)
		}
	}
}

// What a client sends is on record as that, under the name of its token: nobody can record that the sidecar did something.
func TestAClientCannotRecordWhatTheSidecarDoes(t *testing.T) {
	s := full(t)
	s.expect(http.MethodPost, "/audit/event", `{"action":"policy-reload","actor":"defenseclaw","severity":"CRITICAL"}`, http.StatusOK, "ok", clientHeader)
	_, answer, _ := s.request(http.MethodGet, "/audit/records", "")
	var found api.RecordsAnswer
	if err := json.Unmarshal([]byte(answer), &found); err != nil || len(found.Records) == 0 {
		t.Fatal(answer, err)
	}
	r := found.Records[0]
	if r.Action != api.ActionClientEvent || r.Actor != "default" || r.Severity != "CRITICAL" || r.Outcome != audit.OutcomeApplied || !strings.HasPrefix(r.Message, "policy-reload: ") {
		t.Errorf("%+v", r)
	}
}

func TestAlertsAreTheRecordsOfMediumAndWorseNewestFirst(t *testing.T) {
	s := full(t)
	for _, severity := range []string{"LOW", "MEDIUM", "INFO", "CRITICAL", "HIGH", ""} {
		s.expect(http.MethodPost, "/audit/event", fmt.Sprintf(`{"action":"a","severity":%q}`, severity), http.StatusOK, "ok", clientHeader)
	}
	for path, want := range map[string][]string{"/alerts": {"HIGH", "CRITICAL", "MEDIUM"}, "/alerts?limit=2": {"HIGH", "CRITICAL"}, "/alerts?limit=1000": {"HIGH", "CRITICAL", "MEDIUM"}} {
		_, answer, _ := s.request(http.MethodGet, path, "")
		var alerts []api.ClientAlert
		if err := json.Unmarshal([]byte(answer), &alerts); err != nil {
			t.Fatal(answer, err)
		}
		var got []string
		for _, a := range alerts {
			if a.Action == api.ActionClientEvent {
				got = append(got, a.Severity)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", path, got, want)
		}
	}
}
