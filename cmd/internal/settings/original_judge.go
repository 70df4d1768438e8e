package settings

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// originalJudge is what config.yaml says of the judge in the original gateway's keys.
type originalJudge struct {
	enabled                bool
	injection, pii, exfil  bool
	piiPrompt, piiAnswer   bool
	timeout                time.Duration // 0: not set
	own, shared            languageModel // guardrail.judge.llm, and llm, which is for whatever the first leaves out
	oldModel, oldKey, oldB string        // names of an earlier version, under guardrail.judge
}

// languageModel is a block llm.
type languageModel struct {
	model, provider, apiKey, apiKeyEnv, baseURL, instance string

	timeout    time.Duration
	maxRetries int
}

// originalJudging are the rows of those keys. They have no flags and no variables, as there.
func originalJudging(o *originalJudge) []Setting {
	const key = "guardrail.judge."
	return atOnce(slices.Concat([]Setting{
		{
			Key: key + "enabled", Default: "false", value: boolean(&o.enabled),
			Help: "the original gateway's key: turn the judge on where judge.base_url is not set; docs/how-to/judge.md says what it takes of the following",
		},
		{Key: key + "injection", Default: "true", value: boolean(&o.injection), Help: "the original's key: ask for this kind, unless judge.kinds is set"},
		{Key: key + "exfil", Default: "true", value: boolean(&o.exfil), Help: "the same"},
		{Key: key + "pii", Default: "true", value: boolean(&o.pii), Help: "the same"},
		{Key: key + "pii_prompt", Default: "true", value: boolean(&o.piiPrompt), Help: "the original's key; false is not honored, and the start says so"},
		{Key: key + "pii_completion", Default: "true", value: boolean(&o.piiAnswer), Help: "the same"},
		{Key: key + "timeout", value: seconds(&o.timeout), Help: "the original's key: judge.timeout in seconds"},
		{Key: key + "model", value: text(&o.oldModel), Help: "an earlier name of guardrail.judge.llm.model"},
		{Key: key + "api_key_env", value: text(&o.oldKey), Help: "an earlier name of guardrail.judge.llm.api_key_env"},
		{Key: key + "api_base", value: text(&o.oldB), Help: "an earlier name of guardrail.judge.llm.base_url"},
	}, languageModelRows(key+"llm.", "the original's key", &o.own), languageModelRows("llm.", "the original's key: for what guardrail.judge.llm leaves out", &o.shared)))
}

// atOnce has changes of the rows apply without a restart, as those of judge.* do.
func atOnce(rows []Setting) []Setting {
	for i := range rows {
		rows[i].Applies = AtOnce
	}
	return rows
}

func languageModelRows(prefix, whose string, m *languageModel) []Setting {
	return []Setting{
		{Key: prefix + "model", value: text(&m.model), Help: whose + ": the model, as PROVIDER/MODEL"},
		{Key: prefix + "provider", value: text(&m.provider), Help: whose + ": the provider of a model that does not name one"},
		{Key: prefix + "base_url", value: text(&m.baseURL), Help: whose + ": URL of the endpoint; without it that of the provider"},
		{Key: prefix + "api_key_env", value: text(&m.apiKeyEnv), Help: whose + ": environment variable with the API key, which may stand in .env in the data directory"},
		{Key: prefix + "api_key", value: text(&m.apiKey), Help: whose + ": the API key itself"},
		{Key: prefix + "timeout", value: seconds(&m.timeout), Help: whose + ": judge.timeout in seconds, unless guardrail.judge.timeout is set"},
		{Key: prefix + "max_retries", Default: "0", value: natural(&m.maxRetries, "a number, or 0"), Help: whose + ": judge.max_retries; 0: its default"},
		{Key: prefix + "instance_name", value: text(&m.instance), Help: whose + ": not honored; the judge stays off, and the start says so"},
	}
}

// over returns the block, with what it leaves out taken from the shared one.
func (m languageModel) over(shared languageModel) languageModel {
	return languageModel{
		model: cmp.Or(m.model, shared.model), provider: cmp.Or(m.provider, shared.provider), apiKey: cmp.Or(m.apiKey, shared.apiKey),
		apiKeyEnv: cmp.Or(m.apiKeyEnv, shared.apiKeyEnv), baseURL: cmp.Or(m.baseURL, shared.baseURL), instance: cmp.Or(m.instance, shared.instance),
		timeout: cmp.Or(m.timeout, shared.timeout), maxRetries: cmp.Or(m.maxRetries, shared.maxRetries),
	}
}

// endpoints are where the providers speak OpenAI's protocol; empty: only where base_url says.
var endpoints = map[string]string{
	"openai": "https://api.openai.com/v1", "openrouter": "https://openrouter.ai/api/v1", "groq": "https://api.groq.com/openai/v1",
	"mistral": "https://api.mistral.ai/v1", "cerebras": "https://api.cerebras.ai/v1", "xai": "https://api.x.ai/v1",
	"deepseek": "https://api.deepseek.com/v1", "fireworks": "https://api.fireworks.ai/inference/v1",
	"fireworks_ai": "https://api.fireworks.ai/inference/v1", "together_ai": "https://api.together.xyz/v1",
	"ollama": "http://127.0.0.1:11434/v1", "vllm": "", "lm_studio": "", "lmstudio": "", "local": "",
}

// others are providers with protocols of their own.
var others = []string{
	"anthropic", "azure", "gemini", "gemini-openai", "vertex", "vertex_ai", "bedrock", "amazon-bedrock", "cohere", "perplexity", "huggingface", "replicate",
}

// adoptJudge turns the judge on by the original's keys, unless judge.base_url did. What the operator set by our own keys
// stays. [Settings].NotHonored gets what cannot be done as those keys say.
func (s *Snapshot) adoptJudge() {
	s.Settings.adoptJudge(s.isSet, s.config, s.reader.getenv, s.variable)
}

// isSet reports whether the value in force for a key of config.yaml, which may be none of the table, is not the default.
func (s *Snapshot) isSet(key string) bool {
	if f, row := s.found[key]; row {
		return f.source != ""
	}
	return s.config.lookUp(key) != ""
}

func (s *Settings) adoptJudge(isSet func(key string) bool, config configFile, getenv, variable func(name string) string) {
	o := s.originalJudge
	if !o.enabled || s.Judge.BaseURL != "" {
		return
	}
	adopted := s.Judge
	if version := config.lookUp("config_version"); version == "" || len(version) == 1 && version < "5" {
		o.own = o.own.over(languageModel{model: o.oldModel, apiKeyEnv: o.oldKey, baseURL: o.oldB})
	}
	llm := o.own.over(o.shared)
	llm.model = cmp.Or(llm.model, getenv("DEFENSECLAW_LLM_MODEL"))
	if !isSet("judge.kinds") {
		adopted.Kinds = o.kinds()
	}
	why := s.adoptEndpoint(&adopted, llm, variable)
	if why == "" && len(adopted.Kinds) == 0 {
		why = "no kind of finding is to be asked for"
	}
	for _, block := range []string{"guardrail.judge.llm.", "llm."} {
		for _, name := range []string{"tls", "extra_headers"} {
			if why == "" && isSet(block+name) {
				why = block + name + " is not honored"
			}
		}
	}
	if why != "" {
		s.NotHonored = append(s.NotHonored, "guardrail.judge.enabled: the judge stays off: "+why+"; or set judge.base_url and judge.model")
		return
	}
	if timeout := cmp.Or(o.timeout, llm.timeout); timeout != 0 && !isSet("judge.timeout") {
		adopted.Timeout = timeout
	}
	if llm.maxRetries != 0 && !isSet("judge.max_retries") {
		adopted.MaxRetries = llm.maxRetries
	}
	s.Judge = adopted
	s.NotHonored = append(s.NotHonored, o.notHonored(isSet)...)
}

// adoptEndpoint finds whom to ask. why is empty, or says why nobody can be.
func (s *Settings) adoptEndpoint(judge *Judge, llm languageModel, variable func(name string) string) (why string) {
	if llm.instance != "" { // the text must not go to another endpoint than the one that it names
		return fmt.Sprintf("llm.instance_name is %q, and custom providers are not read", llm.instance)
	}
	if llm.model == "" {
		return "no model is named: set llm.model or guardrail.judge.llm.model"
	}
	key := strings.TrimSpace(cmp.Or(variable(llm.apiKeyEnv), llm.apiKey, variable("DEFENSECLAW_LLM_KEY")))
	provider, model := providerOf(llm, key)
	if slices.Contains(others, provider) {
		return fmt.Sprintf("the provider %s of the model %s has a protocol of its own, and the judge speaks OpenAI's", provider, llm.model)
	}
	base, known := endpoints[provider]
	if llm.baseURL != "" {
		base = strings.TrimSuffix(strings.TrimRight(strings.TrimSpace(llm.baseURL), "/"), "/v1") + "/v1"
	}
	switch {
	case base == "" && known:
		return fmt.Sprintf("llm.base_url is not set, which the provider %s needs", provider)
	case base == "":
		return fmt.Sprintf("the provider %s of the model %s is unknown, and llm.base_url is not set", provider, llm.model)
	case key == "" && !isLocal(provider, base):
		return fmt.Sprintf("there is no API key in %s", cmp.Or(llm.apiKeyEnv, "DEFENSECLAW_LLM_KEY"))
	}
	judge.BaseURL, judge.APIKey = base, cmp.Or(key, judge.APIKey)
	judge.Model = cmp.Or(judge.Model, model)
	return ""
}

// variable is the value of an environment variable or, without one, what .env in the data directory says.
func (s *Snapshot) variable(name string) string {
	trimmed := func(name string) string { return strings.TrimSpace(s.reader.getenv(name)) }
	value, _ := found{text: name, getenv: trimmed, dotEnv: s.dotEnv}.variable()
	return value
}

// providerOf splits PROVIDER/MODEL. What is before the slash and no provider is a part of the model's name; then the
// name or the key tells the provider.
func providerOf(llm languageModel, key string) (provider, model string) {
	provider = strings.ToLower(strings.TrimSpace(llm.provider))
	prefix, rest, split := strings.Cut(llm.model, "/")
	_, known := endpoints[prefix]
	if split && (known || slices.Contains(others, prefix)) {
		return cmp.Or(provider, prefix), rest
	}
	switch {
	case provider != "":
	case strings.HasPrefix(llm.model, "claude"), strings.HasPrefix(key, "sk-ant-"):
		provider = "anthropic"
	case strings.HasPrefix(llm.model, "gemini"), strings.HasPrefix(key, "AIza"):
		provider = "gemini"
	case strings.HasPrefix(key, "ABSK"):
		provider = "bedrock"
	default:
		provider = "openai"
	}
	return provider, llm.model
}

// isLocal reports whether the endpoint runs on this machine, or is of a kind that usually does, and needs no key.
func isLocal(provider, base string) bool {
	if slices.Contains([]string{"ollama", "vllm", "lm_studio", "lmstudio", "local"}, provider) {
		return true
	}
	u, err := url.Parse(base)
	return err == nil && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname())
}

func (o originalJudge) kinds() []string {
	kinds := []string{}
	for _, kind := range []struct {
		name string
		on   bool
	}{{"injection", o.injection}, {"exfil", o.exfil}, {"pii", o.pii}} {
		if kind.on {
			kinds = append(kinds, kind.name)
		}
	}
	return kinds
}

// notHonored lists the keys that the judge does without.
func (o originalJudge) notHonored(isSet func(string) bool) (keys []string) {
	if o.pii && (!o.piiPrompt || !o.piiAnswer) {
		keys = append(keys, "guardrail.judge.pii_prompt, pii_completion: prompts and completions are both asked about, or neither")
	}
	for _, name := range []string{"tool_injection", "hook_connectors", "hook_timeout", "adjudication_timeout", "fallbacks"} {
		if key := "guardrail.judge." + name; isSet(key) {
			keys = append(keys, key+": there is nothing here that it applies to")
		}
	}
	return keys
}
