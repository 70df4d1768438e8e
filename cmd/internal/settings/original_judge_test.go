package settings_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"defenseclaw/cmd/internal/settings"
)

// adopted resolves a config.yaml with a .env next to it.
func adopted(t *testing.T, config, env string, values map[string]string) settings.Settings {
	t.Helper()
	home := t.TempDir()
	for name, text := range map[string]string{"config.yaml": config, ".env": env} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{"DEFENSECLAW_HOME": home}
	for name, value := range values {
		all[name] = value
	}
	set, err := resolve(all)
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return set
}

func TestTheOriginalsKeysTurnTheJudgeOn(t *testing.T) {
	const on = "guardrail: {judge: {enabled: true}}\n"
	key := map[string]string{"DEFENSECLAW_LLM_KEY": "k"}
	for _, c := range []struct {
		config, env      string
		values           map[string]string
		base, model, key string
		timeout          time.Duration
		kinds            string
	}{
		{on + "llm: {model: openai/gpt-4o}", "", key, "https://api.openai.com/v1", "gpt-4o", "k", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: gpt-4o, api_key_env: MINE}", "MINE=of the file\n", nil, "https://api.openai.com/v1", "gpt-4o", "of the file", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: gpt-4o, api_key_env: MINE, api_key: inline}", "", map[string]string{"MINE": " env "}, "https://api.openai.com/v1", "gpt-4o", "env", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: gpt-4o, api_key: inline}", "", key, "https://api.openai.com/v1", "gpt-4o", "inline", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: ollama/llama3.1}", "", nil, "http://127.0.0.1:11434/v1", "llama3.1", "", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: meta/llama, provider: vllm, base_url: 'http://gpu:8000/v1/'}", "", nil, "http://gpu:8000/v1", "meta/llama", "", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: acme/m, base_url: 'http://localhost:1'}", "", nil, "http://localhost:1/v1", "acme/m", "", 30 * time.Second, "injection exfil pii"},
		{on, "", map[string]string{"DEFENSECLAW_LLM_MODEL": "groq/m", "DEFENSECLAW_LLM_KEY": "k"}, "https://api.groq.com/openai/v1", "m", "k", 30 * time.Second, "injection exfil pii"},
		{
			"guardrail: {judge: {enabled: true, timeout: 2.5, exfil: false, llm: {model: mistral/small, max_retries: 1}}}\nllm: {model: openai/gpt-4o, api_key: shared, timeout: 9}",
			"", nil, "https://api.mistral.ai/v1", "small", "shared", 2500 * time.Millisecond, "injection pii",
		},
		{on + "llm: {model: ollama/m, timeout: 9}", "", nil, "http://127.0.0.1:11434/v1", "m", "", 9 * time.Second, "injection exfil pii"},
		{"guardrail: {judge: {enabled: true, model: ollama/old, api_base: 'http://127.0.0.1:5'}}", "", nil, "http://127.0.0.1:5/v1", "old", "", 30 * time.Second, "injection exfil pii"},
		{"config_version: 7\nguardrail: {judge: {enabled: true, model: ollama/old}}\nllm: {model: ollama/new}", "", nil, "http://127.0.0.1:11434/v1", "new", "", 30 * time.Second, "injection exfil pii"},
		{on + "llm: {model: ollama/m}\njudge: {timeout: 1s, kinds: [pii]}", "", nil, "http://127.0.0.1:11434/v1", "m", "", time.Second, "pii"},
		{on + "llm: {model: ollama/m}\njudge: {base_url: 'http://ours/v1', model: ours}", "", nil, "http://ours/v1", "ours", "", 30 * time.Second, "injection exfil pii"},
		{"guardrail: {judge: {enabled: false}}\nllm: {model: ollama/m}", "", nil, "", "", "", 30 * time.Second, "injection exfil pii"},
		{"llm: {model: ollama/m}", "", nil, "", "", "", 30 * time.Second, "injection exfil pii"},
	} {
		set := adopted(t, c.config, c.env, c.values)
		j := set.Judge
		if j.BaseURL != c.base || j.Model != c.model || j.APIKey != c.key || j.Timeout != c.timeout || strings.Join(j.Kinds, " ") != c.kinds {
			t.Errorf("%s: %+v; want %+v", c.config, j, c)
		}
		if len(set.NotHonored) > 0 {
			t.Errorf("%s: %q", c.config, set.NotHonored)
		}
	}
}

func TestWhatTheJudgeCannotTakeOfTheOriginalsKeysIsNamed(t *testing.T) {
	for config, want := range map[string]string{
		"guardrail: {judge: {enabled: true}}":                                                                     "no model is named",
		"guardrail: {judge: {enabled: true}}\nllm: {model: openai/gpt-4o}":                                        "there is no API key in DEFENSECLAW_LLM_KEY",
		"guardrail: {judge: {enabled: true}}\nllm: {model: openai/gpt-4o, api_key_env: MINE}":                     "there is no API key in MINE",
		"guardrail: {judge: {enabled: true}}\nllm: {model: anthropic/claude, api_key: k}":                         "the provider anthropic of the model anthropic/claude has a protocol of its own",
		"guardrail: {judge: {enabled: true}}\nllm: {model: claude-4, api_key: k}":                                 "the provider anthropic",
		"guardrail: {judge: {enabled: true}}\nllm: {model: m, api_key: k, provider: strange}":                     "the provider strange of the model m is unknown",
		"guardrail: {judge: {enabled: true}}\nllm: {model: vllm/m}":                                               "llm.base_url is not set, which the provider vllm needs",
		"guardrail: {judge: {enabled: true, llm: {instance_name: ours}}}\nllm: {model: ollama/m}":                 `llm.instance_name is "ours"`,
		"guardrail: {judge: {enabled: true}}\nllm: {model: ollama/m, extra_headers: {a: b}}":                      "llm.extra_headers is not honored",
		"guardrail: {judge: {enabled: true, llm: {tls: {ca_cert_pem: x}}}}\nllm: {model: ollama/m}":               "guardrail.judge.llm.tls is not honored",
		"guardrail: {judge: {enabled: true, pii: false, exfil: false, injection: false}}\nllm: {model: ollama/m}": "no kind of finding is to be asked for",
	} {
		set := adopted(t, config, "", nil)
		if set.Judge.BaseURL != "" || len(set.NotHonored) != 1 || !strings.HasPrefix(set.NotHonored[0], "guardrail.judge.enabled: the judge stays off: "+want) {
			t.Errorf("%s: %q, asked is %q; want %s", config, set.NotHonored, set.Judge.BaseURL, want)
		}
	}
	set := adopted(t, "guardrail: {judge: {enabled: true, pii_prompt: false, tool_injection: true, fallbacks: [a]}}\nllm: {model: ollama/m}", "", nil)
	if !slices.EqualFunc(set.NotHonored, []string{"guardrail.judge.pii_prompt", "guardrail.judge.tool_injection", "guardrail.judge.fallbacks"}, strings.HasPrefix) ||
		set.Judge.BaseURL == "" {
		t.Errorf("%q, %+v; the judge is on, and says what it does without", set.NotHonored, set.Judge)
	}
}
