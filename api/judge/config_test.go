package judge_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"defenseclaw/api/judge"
)

func TestWrongSettingsAreRefusedByName(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*judge.Config)
		want string
	}{
		{"no base URL", func(c *judge.Config) { c.BaseURL = "" }, "judge.base_url is not set"},
		{"not a URL", func(c *judge.Config) { c.BaseURL = "http://[::1" }, "judge.base_url is not a URL"},
		{"no scheme", func(c *judge.Config) { c.BaseURL = "api.openai.com/v1" }, "judge.base_url is not of the form"},
		{"another scheme", func(c *judge.Config) { c.BaseURL = "file:///etc/passwd" }, "judge.base_url is not of the form"},
		{"no host", func(c *judge.Config) { c.BaseURL = "https:///v1" }, "judge.base_url is not of the form"},
		{"a password", func(c *judge.Config) { c.BaseURL = "https://me:hunter2@judge.example" }, "judge.base_url contains a user name"},
		{"a broken URL with a password", func(c *judge.Config) { c.BaseURL = "https://me:hunter2@judge.example/%zz" }, "judge.base_url is not a URL"},
		{"a query", func(c *judge.Config) { c.BaseURL = "https://judge.example/?api-key=hunter2" }, "judge.base_url has a query"},
		{"no model", func(c *judge.Config) { c.Model = " " }, "judge.model is not set"},
		{"a key with a line end", func(c *judge.Config) { c.APIKey = "hunter2\n" }, "API key contains a character"},
		{"an unknown fail mode", func(c *judge.Config) { c.FailMode = "ajar" }, `judge.fail_mode is "ajar"`},
		{"an unknown kind", func(c *judge.Config) { c.Kinds = []judge.Kind{"taste"} }, `judge.kinds contains "taste"`},
		{"no kind", func(c *judge.Config) { c.Kinds = []judge.Kind{} }, "judge.kinds is empty"},
		{"a negative time-out", func(c *judge.Config) { c.Timeout = -1 }, "judge.timeout is negative"},
		{"a negative size", func(c *judge.Config) { c.MaxContentBytes = -1 }, "judge.max_content_bytes is negative"},
		{"a negative TTL", func(c *judge.Config) { c.CacheTTL = -1 }, "judge.cache_ttl is negative"},
		{"a negative number of entries", func(c *judge.Config) { c.CacheEntries = -1 }, "judge.cache_entries is negative"},
		{"a negative number of calls", func(c *judge.Config) { c.MaxConcurrent = -1 }, "judge.max_concurrent is negative"},
		{"a negative number of tokens", func(c *judge.Config) { c.MaxAnswerTokens = -1 }, "judge.max_answer_tokens is negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := judge.Config{BaseURL: "https://judge.example/v1", Model: theModel}
			tt.set(&cfg)
			j, err := judge.New(cfg)
			if err == nil || j != nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAllInvalidSettingsAreNamedAtOnce(t *testing.T) {
	_, err := judge.New(judge.Config{FailMode: "ajar", Timeout: -1})
	for _, want := range []string{"judge.base_url", "judge.model", "judge.fail_mode", "judge.timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestTheManualNamesTheSettingsThatExist(t *testing.T) {
	manual, err := os.ReadFile("../../docs/how-to/judge.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	settings := func(text []byte) []string {
		// Those of guardrail.judge are the original gateway's: package settings reads them.
		text = regexp.MustCompile(`guardrail\.judge\.`).ReplaceAll(text, nil)
		names := regexp.MustCompile(`judge\.[a-z_]+\b`).FindAllString(string(text), -1)
		slices.Sort(names)
		return slices.Compact(names)
	}
	const others = "judge.api_key_env" // the caller of New reads the key
	if in, of := settings(manual), settings(append(source, others...)); !slices.Equal(in, of) {
		t.Errorf("the manual names\n%v\nand there are\n%v", in, of)
	}
}
