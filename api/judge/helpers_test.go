package judge_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"defenseclaw/api/judge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	theKey   = "sk-test-5f2c9d"
	theModel = "judge-model-1"
	aPrompt  = "Please summarise the attached quarterly report for me."
)

// request is what an OpenAI-compatible endpoint reads of a chat completion's request.
type request struct {
	Header   http.Header `json:"-"`
	Path     string      `json:"-"`
	Model    string      `json:"model"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
	ResponseFormat *struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string         `json:"name"`
			Strict bool           `json:"strict"`
			Schema map[string]any `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	Temperature         *float64 `json:"temperature"`
	MaxTokens           *int     `json:"max_tokens"`
	MaxCompletionTokens *int     `json:"max_completion_tokens"`
}

// kind recognizes the kind by the instructions, as a model would.
func (r request) kind() judge.Kind {
	system := r.Messages[0].Content
	switch {
	case strings.Contains(system, "Instruction Manipulation"):
		return judge.Injection
	case strings.Contains(system, "Exfiltration Channel"):
		return judge.Exfil
	case strings.Contains(system, "Passport Number"):
		return judge.PII
	}
	return ""
}

// endpoint is an HTTP server that speaks the chat-completions protocol and remembers what it was asked.
type endpoint struct {
	mu       sync.Mutex
	requests []request
	respond  func(http.ResponseWriter, *http.Request, request)
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got request
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got.Header, got.Path = r.Header.Clone(), r.URL.Path
	e.mu.Lock()
	e.requests = append(e.requests, got)
	respond := e.respond
	e.mu.Unlock()
	respond(w, r, got)
}

func (e *endpoint) seen() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

func (e *endpoint) count() int { return len(e.seen()) }

// serve answers over loopback.
func serve(t *testing.T, respond func(http.ResponseWriter, *http.Request, request)) (*endpoint, judge.Config) {
	t.Helper()
	e := &endpoint{respond: respond}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return e, judge.Config{BaseURL: s.URL + "/v1", Model: theModel, APIKey: theKey, HTTPClient: s.Client()}
}

// serveInBubble answers over pipes, so that a synctest bubble's time moves.
func serveInBubble(t *testing.T, respond func(http.ResponseWriter, *http.Request, request)) (*endpoint, judge.Config) {
	t.Helper()
	e := &endpoint{respond: respond}
	pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(pipes) }()
	transport := &http.Transport{DialContext: pipes.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
		<-ended
	})
	return e, judge.Config{
		BaseURL: "http://judge.example/v1", Model: theModel, APIKey: theKey,
		HTTPClient: &http.Client{Transport: transport},
	}
}

func mustNew(t *testing.T, cfg judge.Config) *judge.Judge {
	t.Helper()
	j, err := judge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mustJudge(t *testing.T, j *judge.Judge, d judge.Direction, content string) judge.Verdict {
	t.Helper()
	v, err := j.Assess(t.Context(), judge.Request{Direction: d, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// complete answers as a chat completion whose model wrote content.
func complete(w http.ResponseWriter, content string) { completeAs(w, content, "stop") }

func completeAs(w http.ResponseWriter, content, finish string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": theModel,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": finish,
			"message": map[string]any{"role": "assistant", "content": content},
		}},
		"usage": map[string]any{"prompt_tokens": 321, "completion_tokens": 45, "total_tokens": 366},
	})
}

// refuse answers as OpenAI refuses.
func refuse(w http.ResponseWriter, status int, param, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"error": map[string]any{"message": message, "type": "invalid_request_error", "param": param, "code": nil},
	})
}

var categories = map[judge.Kind][]string{
	judge.Injection: {"Instruction Manipulation", "Context Manipulation", "Obfuscation", "Semantic Manipulation", "Token Exploitation"},
	judge.Exfil:     {"Sensitive File Access", "Exfiltration Channel"},
	judge.PII: {
		"Email Address", "IP Address", "Phone Number", "Driver's License Number",
		"Passport Number", "Social Security Number", "Username", "Password",
	},
}

// judgement is what a model writes that found these categories of a kind.
func judgement(kind judge.Kind, found ...string) string {
	all := map[string]any{}
	for _, c := range categories[kind] {
		has := slices.Contains(found, c)
		if kind == judge.PII {
			entities := []string{}
			if has {
				entities = append(entities, "one of them")
			}
			all[c] = map[string]any{"detection_result": has, "entities": entities}
			continue
		}
		strength := "none"
		if has {
			strength = "moderate"
		}
		all[c] = map[string]any{"reasoning": "because of what it says", "label": has, "signal_strength": strength}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}

// clean finds nothing, whatever it is asked.
func clean(w http.ResponseWriter, _ *http.Request, r request) { complete(w, judgement(r.kind())) }

// eventually waits for something that has to come, however slow the machine is.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
