package settings_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

const (
	ours   = "DEFENSECLAW_GATEWAY_TOKEN"
	legacy = "OPENCLAW_GATEWAY_TOKEN"
)

func TestWhereTheTokenIsFound(t *testing.T) {
	const named, literal = "gateway: {token_env: MY_ORG_TOKEN}", "gateway: {token: literal}"
	type env = map[string]string
	for name, tt := range map[string]struct {
		config, dotEnv string
		env            env
		want           string
		explicit       bool
	}{
		"nothing":                                        {"", "", nil, "", false},
		"the named variable":                             {named, ours + "=b", env{"MY_ORG_TOKEN": "a", ours: "c"}, "a", true},
		"the named variable in .env":                     {named, ours + "=b\nMY_ORG_TOKEN=a", env{ours: "c"}, "a", true},
		"the environment before .env":                    {named, "MY_ORG_TOKEN=b", env{"MY_ORG_TOKEN": "a"}, "a", true},
		"the named variable is not there":                {named, ours + "=b", nil, "b", false},
		"the named variable is empty":                    {named, "MY_ORG_TOKEN=\n" + legacy + "=b", env{"MY_ORG_TOKEN": ""}, "b", false},
		"a name that is not set":                         {"gateway: {token_env: OTHER}", "MY_ORG_TOKEN=a", nil, "", false},
		"our variable before .env":                       {"", ours + "=b", env{ours: "a"}, "a", true},
		".env before the older name in the environment":  {"", ours + "=a", env{legacy: "b"}, "a", false},
		"the older name in the environment":              {"", legacy + "=b", env{legacy: "a"}, "a", true},
		"the older name in .env":                         {"", legacy + "=a", nil, "a", false},
		"the older name before gateway.token":            {literal, legacy + "=a", nil, "a", false},
		".env of the original before gateway.token":      {literal, ours + "=a", nil, "a", false},
		"gateway.token before what a start of ours made": {literal, ours + "=dc_a", nil, "literal", true},
		"what a start of ours made":                      {"", ours + "=dc_a", nil, "dc_a", false},
		"gateway.token alone":                            {literal, "", nil, "literal", true},
		"our variable before gateway.token":              {literal, "", env{ours: "a"}, "a", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"config.yaml": tt.config, ".env": tt.dotEnv} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			values := env{"DEFENSECLAW_HOME": dir}
			maps.Copy(values, tt.env)
			set, err := resolve(values)
			if err != nil {
				t.Fatal(err)
			}
			token, explicit, err := set.Token()
			if (err != nil) != (tt.want == "") || err != nil && !errors.Is(err, settings.ErrNoToken) {
				t.Fatal(err)
			}
			if token != tt.want || explicit != tt.explicit {
				t.Errorf("%q, explicit %v; want %q, %v; from %s", token, explicit, tt.want, tt.explicit, set.TokenSource())
			}
		})
	}
}

func TestDotEnvIsReadAsTheOriginalReadsIt(t *testing.T) {
	for text, want := range map[string]string{
		"T=a":                                "a",
		"  T = a \r":                         "a",
		`T="a b"`:                            "a b",
		`T='a'`:                              "a",
		`T="a'`:                              `"a'`,
		`T="`:                                `"`,
		`T=""`:                               "",
		"#T=a":                               "",
		"T=a # b":                            "a # b",
		"T=a=b":                              "a=b",
		"T=a\nT=b":                           "a",
		"T=\nT=b":                            "b",
		"T=a\x00":                            "",
		"XT=a\nTX=b\nt=c":                    "",
		"export T=a":                         "a",
		"export T=a\nT=b":                    "b",
		"T\n=a\nT a":                         "",
		strings.Repeat("x", 1<<20) + "\nT=a": "a",
	} {
		dir := t.TempDir()
		for file, content := range map[string]string{"config.yaml": "gateway: {token_env: T}", ".env": text} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := resolve(map[string]string{"DEFENSECLAW_HOME": dir})
		if err != nil {
			t.Fatal(err)
		}
		if token, _, _ := set.Token(); token != want {
			t.Errorf("%.40q: %q; want %q", text, token, want)
		}
	}
}

func TestOtherNamedVariablesAreFoundInDotEnvToo(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{
		"config.yaml": "judge: {api_key_env: ORG_KEY}\ndecision_logs: {token_env: ORG_LOG}", ".env": "ORG_KEY=k\nORG_LOG=l\nDEFENSECLAW_API_PORT=1",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := resolve(map[string]string{"DEFENSECLAW_HOME": dir})
	if err != nil || set.Judge.APIKey != "k" || set.Decisions.Token != "l" || set.APIPort == 1 {
		t.Errorf("%q %q %d (%v)", set.Judge.APIKey, set.Decisions.Token, set.APIPort, err)
	}
}
