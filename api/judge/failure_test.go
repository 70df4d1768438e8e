package judge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"defenseclaw/api/judge"
)

// heardErrors collects what the judge says of failures; for judges that are asked one thing at a time.
func heardErrors(cfg *judge.Config) *[]*judge.CallError {
	var heard []*judge.CallError
	cfg.Observe.Error = func(_ judge.Kind, e *judge.CallError) { heard = append(heard, e) }
	return &heard
}

func TestAnInvalidAnswerIsAFailure(t *testing.T) {
	envelope := func(choices string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"m","choices":%s}`, choices)
		}
	}
	good := judgement(judge.PII)
	for _, tt := range []struct {
		name    string
		respond func(http.ResponseWriter)
		reason  judge.Reason
		status  int
	}{
		{"prose", func(w http.ResponseWriter) { complete(w, "This text is perfectly safe.") }, judge.ReasonMalformed, 200},
		{"an empty answer", func(w http.ResponseWriter) { complete(w, "") }, judge.ReasonMalformed, 200},
		{"another kind's answer", func(w http.ResponseWriter) { complete(w, judgement(judge.Exfil)) }, judge.ReasonMalformed, 200},
		{"text after the answer", func(w http.ResponseWriter) { complete(w, good+"\nHope this helps!") }, judge.ReasonMalformed, 200},
		{"cut off, and says so", func(w http.ResponseWriter) { completeAs(w, good[:len(good)/2], "length") }, judge.ReasonTruncated, 200},
		{"whole, but says that it is cut off", func(w http.ResponseWriter) { completeAs(w, good, "length") }, judge.ReasonTruncated, 200},
		{"cut off, and does not say so", func(w http.ResponseWriter) { complete(w, good[:len(good)/2]) }, judge.ReasonMalformed, 200},
		{"filtered", func(w http.ResponseWriter) { completeAs(w, good, "content_filter") }, judge.ReasonRefused, 200},
		{"a tool call", func(w http.ResponseWriter) { completeAs(w, good, "tool_calls") }, judge.ReasonMalformed, 200},
		{"a refusal", envelope(`[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,"refusal":"I cannot"}}]`), judge.ReasonRefused, 200},
		{"no choice", envelope(`[]`), judge.ReasonMalformed, 200},
		{"two choices", envelope(`[{"finish_reason":"stop","message":{"content":"{}"}},{"finish_reason":"stop","message":{"content":"{}"}}]`), judge.ReasonMalformed, 200},
		{"choices of another type", envelope(`"none"`), judge.ReasonMalformed, 200},
		{"an envelope cut off", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"choices":[{"message":`)
		}, judge.ReasonMalformed, 200},
		{"HTML", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>Please log in</html>")
		}, judge.ReasonMalformed, 200},
		{"JSON null", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, "null")
		}, judge.ReasonMalformed, 200},
		{"more than an answer can be", func(w http.ResponseWriter) { complete(w, strings.Repeat(" ", 300<<10)+good) }, judge.ReasonTooLarge, 200},
		{"more than an error can be", func(w http.ResponseWriter) { refuse(w, 403, "", strings.Repeat("no ", 200<<10)) }, judge.ReasonTooLarge, 403},
		{"an answer under another status", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			complete(w, good)
		}, judge.ReasonStatus, 202},
		{"forbidden", func(w http.ResponseWriter) { refuse(w, 403, "", "no") }, judge.ReasonStatus, 403},
		{"a key that is not known", func(w http.ResponseWriter) { refuse(w, 401, "", "Incorrect API key provided: "+theKey) }, judge.ReasonStatus, 401},
		{"an error that is not JSON", func(w http.ResponseWriter) { http.Error(w, "<h1>nginx</h1>", 404) }, judge.ReasonStatus, 404},
	} {
		for _, mode := range []judge.FailMode{judge.Open, judge.Closed} {
			t.Run(tt.name+", "+string(mode), func(t *testing.T) {
				e, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, _ request) { tt.respond(w) })
				cfg.FailMode, cfg.MaxRetries = mode, -1
				heard := heardErrors(&cfg)
				j := mustNew(t, cfg)
				checkFailed(t, mustJudge(t, j, judge.Completion, aPrompt), mode)
				if len(*heard) != 1 || (*heard)[0].Reason != tt.reason || (*heard)[0].Status != tt.status {
					t.Fatalf("heard %+v", *heard)
				}
				for _, want := range []string{theModel, strings.TrimSuffix(strings.TrimPrefix(cfg.BaseURL, "http://"), "/v1")} {
					if text := (*heard)[0].Error(); !strings.Contains(text, want) || strings.Contains(text, theKey) {
						t.Errorf("%q", text)
					}
				}
				mustJudge(t, j, judge.Completion, aPrompt)
				if e.count() != 2 {
					t.Errorf("%d requests: a failure was kept", e.count())
				}
			})
		}
	}
}

// checkFailed holds a verdict to what the fail mode says of a text that could not be judged.
func checkFailed(t *testing.T, v judge.Verdict, mode judge.FailMode) {
	t.Helper()
	action, severity := judge.ActionAllow, judge.SeverityNone
	if mode == judge.Closed {
		action, severity = judge.ActionBlock, judge.SeverityCritical
	}
	if v.Action != action || v.Severity != severity || !v.JudgeFailed || len(v.FailedKinds) == 0 || v.Cached || len(v.Findings) != 0 {
		t.Errorf("fail mode %s: %+v", mode, v)
	}
	if !strings.Contains(v.Reason, "failed "+string(mode)+": ") || strings.Contains(v.Reason, theKey) {
		t.Errorf("reason %q", v.Reason)
	}
}

func TestOneFailedKindDoesNotSilenceTheOthers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		mode     judge.FailMode
		pii      string
		severity judge.Severity
		failed   bool
	}{
		{"open, nothing else found", judge.Open, "", judge.SeverityNone, false},
		{"open, something else found", judge.Open, "Password", judge.SeverityCritical, false},
		{"closed, nothing else found", judge.Closed, "", judge.SeverityCritical, true},
		{"closed, something mild found", judge.Closed, "Username", judge.SeverityCritical, true},
		{"closed, something worse found", judge.Closed, "Password", judge.SeverityCritical, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, r request) {
				if r.kind() == judge.Injection {
					complete(w, "I would rather not say.")
					return
				}
				complete(w, judgement(r.kind(), tt.pii))
			})
			cfg.FailMode = tt.mode
			v := mustJudge(t, mustNew(t, cfg), judge.Prompt, aPrompt)
			if v.Severity != tt.severity || v.JudgeFailed != tt.failed || !slices.Equal(v.FailedKinds, []judge.Kind{judge.Injection}) {
				t.Errorf("verdict %+v", v)
			}
			if !strings.Contains(v.Reason, "judge-injection failed "+string(tt.mode)) {
				t.Errorf("reason %q hides the failure", v.Reason)
			}
		})
	}
}

func TestABusyEndpointIsRetried(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		synctest.Test(t, func(t *testing.T) {
			var e *endpoint
			e, cfg := serveInBubble(t, func(w http.ResponseWriter, _ *http.Request, r request) {
				if e.count() < 3 {
					refuse(w, status, "", "try later")
					return
				}
				complete(w, judgement(r.kind(), "Password"))
			})
			start := time.Now()
			v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
			if v.Severity != judge.SeverityCritical || v.JudgeFailed || e.count() != 3 {
				t.Errorf("status %d: %d requests, %+v", status, e.count(), v)
			}
			if waited := time.Since(start); waited == 0 || waited > 10*time.Second {
				t.Errorf("status %d: waited %v", status, waited)
			}
		})
	}
}

func TestAnEndpointThatStaysBusyFailsWithItsStatus(t *testing.T) {
	for _, tt := range []struct {
		name       string
		retryAfter string
		retries    int
		requests   int
	}{
		{"as often as the client would by itself", "", 0, 3},
		{"never", "", -1, 1},
		{"once", "", 1, 2},
		{"as the endpoint says when", "2", 0, 3},
		{"not if the endpoint says when there is no time", "3600", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, cfg := serveInBubble(t, func(w http.ResponseWriter, _ *http.Request, _ request) {
					if tt.retryAfter != "" {
						w.Header().Set("Retry-After", tt.retryAfter)
					}
					refuse(w, 429, "", "slow down")
				})
				cfg.MaxRetries, cfg.FailMode = tt.retries, judge.Closed
				heard := heardErrors(&cfg)
				start := time.Now()
				v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
				checkFailed(t, v, judge.Closed)
				if e.count() != tt.requests || time.Since(start) >= judge.DefaultTimeout {
					t.Errorf("%d requests in %v", e.count(), time.Since(start))
				}
				if len(*heard) != 1 || (*heard)[0].Status != 429 || !strings.Contains(v.Reason, "status 429 Too Many Requests") {
					t.Errorf("heard %v, reason %q", *heard, v.Reason)
				}
			})
		})
	}
}

func TestASilentEndpointFailsAtTheTimeout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		respond func(http.ResponseWriter, *http.Request, request)
	}{
		{"no answer at all", func(_ http.ResponseWriter, r *http.Request, _ request) { <-r.Context().Done() }},
		{"a body that does not end", func(w http.ResponseWriter, r *http.Request, _ request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				if err := http.NewResponseController(w).Flush(); err != nil {
					return
				}
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		}},
		{"an endpoint that is busy for ever", func(w http.ResponseWriter, r *http.Request, _ request) {
			select {
			case <-time.After(8 * time.Second):
			case <-r.Context().Done():
			}
			refuse(w, 503, "", "later")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, cfg := serveInBubble(t, tt.respond)
				cfg.Timeout, cfg.FailMode = 10*time.Second, judge.Closed
				heard := heardErrors(&cfg)
				start := time.Now()
				v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
				checkFailed(t, v, judge.Closed)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("took %v", took)
				}
				if len(*heard) != 1 || (*heard)[0].Reason != judge.ReasonTimeout || !errors.Is((*heard)[0], context.DeadlineExceeded) {
					t.Errorf("heard %v", *heard)
				}
			})
		})
	}
}

func TestACanceledCallerGetsItsContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, cfg := serveInBubble(t, func(_ http.ResponseWriter, r *http.Request, _ request) { <-r.Context().Done() })
		for _, mode := range []judge.FailMode{judge.Open, judge.Closed} {
			cfg.FailMode = mode
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			v, err := mustNew(t, cfg).Assess(ctx, judge.Request{Direction: judge.Prompt, Content: aPrompt})
			if !errors.Is(err, context.DeadlineExceeded) || v.Action != "" {
				t.Errorf("%+v, %v", v, err)
			}
		}
		if e.count() != 6 {
			t.Errorf("%d requests", e.count())
		}
	})
}

func TestARefusedConnectionIsReported(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	address := s.URL
	s.Close()
	cfg := judge.Config{BaseURL: address, Model: theModel, APIKey: theKey, FailMode: judge.Closed, MaxRetries: -1, HTTPClient: &http.Client{}}
	heard := heardErrors(&cfg)
	v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
	checkFailed(t, v, judge.Closed)
	if len(*heard) != 1 || (*heard)[0].Reason != judge.ReasonUnreachable || !strings.Contains(v.Reason, "connection refused") {
		t.Errorf("heard %v, reason %q", *heard, v.Reason)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other, otherCfg := serve(t, clean)
	e, cfg := serve(t, func(w http.ResponseWriter, r *http.Request, _ request) {
		http.Redirect(w, r, otherCfg.BaseURL+"/chat/completions", http.StatusTemporaryRedirect)
	})
	cfg.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
	heard := heardErrors(&cfg)
	v := mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt)
	checkFailed(t, v, judge.Closed)
	if other.count() != 0 || e.count() != 1 || (*heard)[0].Status != 307 || !strings.Contains(v.Reason, "redirects are not followed") {
		t.Errorf("%d requests elsewhere, reason %q", other.count(), v.Reason)
	}
}

// roundTrip is the boundary where the operator's HTTP client takes over.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAPanicInTheClientIsAFailure(t *testing.T) {
	cfg := judge.Config{BaseURL: "http://judge.example", Model: theModel, FailMode: judge.Closed}
	cfg.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("index out of range") })}
	heard := heardErrors(&cfg)
	checkFailed(t, mustJudge(t, mustNew(t, cfg), judge.Completion, aPrompt), judge.Closed)
	if (*heard)[0].Reason != judge.ReasonPanic {
		t.Errorf("heard %v", *heard)
	}
}

func TestNoErrorRepeatsTheKeyOrTheText(t *testing.T) {
	secret := "the launch code is 0000-1111-2222"
	for name, transport := range map[string]roundTrip{
		"an error that quotes the request": func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			return nil, fmt.Errorf("malformed header %q %q %w", r.Header.Get("Authorization"), body, err)
		},
		"an answer that quotes the request": func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			header := http.Header{"Content-Type": {"application/json"}}
			text := fmt.Sprintf(`{"error":{"message":%q,"code":%q}}`, body, r.Header.Get("Authorization"))
			return &http.Response{StatusCode: 418, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := judge.Config{BaseURL: "http://judge.example", Model: theModel, APIKey: theKey, MaxRetries: -1}
			cfg.HTTPClient = &http.Client{Transport: transport}
			heard := heardErrors(&cfg)
			j := mustNew(t, cfg)
			v := mustJudge(t, j, judge.Completion, secret)
			said := fmt.Sprintf("%+v %#v %v %+v", v, v, (*heard)[0], *(*heard)[0])
			for err := error((*heard)[0]); err != nil; err = errors.Unwrap(err) {
				said += fmt.Sprintf(" %v %+v %#v", err, err, err)
			}
			said += fmt.Sprintf("%+v %#v", j, j)
			for _, never := range []string{theKey, secret, "0000-1111"} {
				if strings.Contains(said, never) {
					t.Errorf("%q is in %s", never, said)
				}
			}
		})
	}
}

func TestAnUnsupportedParameterIsDropped(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refuses func(request) (param, message string)
		check   func(request) bool
	}{
		{"response_format", func(r request) (string, string) {
			if r.ResponseFormat != nil {
				return "response_format", "This response_format type is unavailable now"
			}
			return "", ""
		}, func(r request) bool { return r.ResponseFormat == nil && r.MaxTokens != nil && r.Temperature != nil }},
		{"max_tokens and temperature", func(r request) (string, string) {
			switch {
			case r.MaxTokens != nil:
				return "max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
			case r.Temperature != nil:
				return "temperature", "Unsupported value: 'temperature' does not support 0 with this model."
			}
			return "", ""
		}, func(r request) bool {
			return r.ResponseFormat != nil && r.MaxTokens == nil && r.Temperature == nil && *r.MaxCompletionTokens == judge.DefaultMaxAnswerTokens
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, r request) {
				if param, message := tt.refuses(r); param != "" {
					refuse(w, 400, param, message)
					return
				}
				complete(w, judgement(r.kind(), "Password"))
			})
			j := mustNew(t, cfg)
			if v := mustJudge(t, j, judge.Completion, aPrompt); v.JudgeFailed || v.Severity != judge.SeverityCritical {
				t.Fatalf("verdict %+v", v)
			}
			learned := e.count()
			if !tt.check(e.seen()[learned-1]) {
				t.Errorf("sent %+v", e.seen()[learned-1])
			}
			mustJudge(t, j, judge.Completion, aPrompt+" Another one.")
			if e.count() != learned+1 {
				t.Errorf("%d requests to say it again: what was learned is forgotten", e.count()-learned)
			}
		})
	}
}

func TestAPermanentRefusalEnds(t *testing.T) {
	e, cfg := serve(t, func(w http.ResponseWriter, _ *http.Request, _ request) {
		refuse(w, 400, "messages", "max_tokens, temperature, response_format: all of it is wrong")
	})
	j := mustNew(t, cfg)
	checkFailed(t, mustJudge(t, j, judge.Completion, aPrompt), judge.Closed)
	if e.count() != 4 {
		t.Errorf("%d requests", e.count())
	}
	mustJudge(t, j, judge.Completion, aPrompt)
	if last := e.seen()[4]; last.ResponseFormat == nil || last.MaxTokens == nil || last.Temperature == nil {
		t.Error("a text that is refused for itself has changed how others are asked")
	}
}
