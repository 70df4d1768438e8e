package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"defenseclaw/cmd/internal/settings"
)

// write makes files in a new data directory; a name that ends with a slash is a directory, TO <- NAME a link.
func write(t *testing.T, names ...string) (dataDir string) {
	t.Helper()
	dataDir = t.TempDir()
	for _, name := range names {
		target, link, isLink := strings.Cut(name, " <- ")
		if !isLink {
			link = name
		}
		path := filepath.Join(dataDir, link)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o700)
		default:
			err = os.WriteFile(path, []byte("package p"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dataDir
}

func TestWhichPolicyServesWithoutASetting(t *testing.T) {
	kept := func(dataDir string) string {
		s := settings.Settings{DataDir: dataDir}
		return s.HistoryDir(filepath.Join(dataDir, "policies"))
	}
	for name, tt := range map[string]struct {
		files  []string
		served bool
		want   settings.PolicyFrom
	}{
		"nothing":                            {nil, false, settings.PolicyEmbedded},
		"an empty directory":                 {[]string{"policies/"}, false, settings.PolicyEmbedded},
		"an empty rego":                      {[]string{"policies/rego/"}, false, settings.PolicyEmbedded},
		"presets and data only":              {[]string{"policies/default.yaml", "policies/rego/data.json"}, false, settings.PolicyEmbedded},
		"tests only":                         {[]string{"policies/rego/p_test.rego"}, false, settings.PolicyEmbedded},
		"hidden files only":                  {[]string{"policies/rego/.p.rego", "policies/rego/.git/p.rego"}, false, settings.PolicyEmbedded},
		"another program's Rego":             {[]string{"policies/openshell/default.rego"}, false, settings.PolicyEmbedded},
		"rego":                               {[]string{"policies/rego/p.rego"}, false, settings.PolicyFound},
		"a folder of rego":                   {[]string{"policies/rego/team/p.rego"}, false, settings.PolicyFound},
		"flat":                               {[]string{"policies/p.rego"}, false, settings.PolicyFound},
		"a linked directory":                 {[]string{"elsewhere/rego/p.rego", "elsewhere <- policies"}, false, settings.PolicyFound},
		"a linked rego":                      {[]string{"policies/..data/p.rego", "..data <- policies/rego"}, false, settings.PolicyFound},
		"a linked file":                      {[]string{"policies/rego/..data/x.rego", "..data/x.rego <- policies/rego/x.rego"}, false, settings.PolicyFound},
		"a link that leads nowhere":          {[]string{"nowhere <- policies"}, false, settings.PolicyFound},
		"a loop of links":                    {[]string{"policies <- policies"}, false, settings.PolicyFound},
		"a file":                             {[]string{"policies"}, false, settings.PolicyFound},
		"nothing after it served":            {nil, true, settings.PolicyFound},
		"an empty directory after it served": {[]string{"policies/rego/"}, true, settings.PolicyFound},
	} {
		t.Run(name, func(t *testing.T) {
			dataDir := write(t, tt.files...)
			if tt.served {
				if err := os.MkdirAll(kept(dataDir), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(kept(dataDir), "x.tar.gz"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set, err := resolve(map[string]string{"DEFENSECLAW_HOME": dataDir})
			if err != nil {
				t.Fatal(err)
			}
			if set.PolicyFrom != tt.want || set.PolicyWhy == "" || (set.PolicyDir == "") != (tt.want == settings.PolicyEmbedded) {
				t.Errorf("%q is %s: %s; %s was expected", set.PolicyDir, set.PolicyFrom, set.PolicyWhy, tt.want)
			}
		})
	}
}

func TestAnUnreadableDirectoryIsNotReplacedByTheEmbeddedPack(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read every directory")
	}
	dataDir := write(t, "policies/rego/p.rego")
	locked := filepath.Join(dataDir, "policies", "rego")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(locked, 0o700) }) //nolint:gosec // a directory, to be removed
	set, err := resolve(map[string]string{"DEFENSECLAW_HOME": dataDir})
	if err != nil || set.PolicyFrom != settings.PolicyFound || !strings.Contains(set.PolicyWhy, "cannot be read") {
		t.Errorf("%s: %s (%v)", set.PolicyFrom, set.PolicyWhy, err)
	}
}

func TestAPolicyDirectoryOfTheSettingsSaysWhichSetting(t *testing.T) {
	dataDir := write(t, "policies/rego/p.rego", "other/p.rego")
	config := filepath.Join(dataDir, "config.yaml")
	if err := os.WriteFile(config, []byte("policy_dir: other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, value, want string }{
		{"", "", "set by policy_dir in config.yaml"},
		{"DEFENSECLAW_POLICY_DIR", "x", "set by DEFENSECLAW_POLICY_DIR"},
		{"policy-dir", "x", "set by --policy-dir"},
		{"policy-dir", "", "--policy-dir is empty"},
	} {
		values := map[string]string{"DEFENSECLAW_HOME": dataDir}
		if tt.name != "" {
			values[tt.name] = tt.value
		}
		if set, err := resolve(values); err != nil || set.PolicyWhy != tt.want {
			t.Errorf("%s=%s: %s, %q (%v)", tt.name, tt.value, set.PolicyFrom, set.PolicyWhy, err)
		}
	}
}

func TestTheDataDirectoryIsNoPolicyDirectory(t *testing.T) {
	dataDir := write(t, "p.rego", ". <- itself")
	for _, dir := range []string{dataDir, dataDir + "/", filepath.Join(dataDir, "itself"), dataDir + "/x/.."} {
		_, err := resolve(map[string]string{"DEFENSECLAW_HOME": dataDir, "policy-dir": dir})
		if err == nil || !strings.Contains(err.Error(), "must not be the data directory itself") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
