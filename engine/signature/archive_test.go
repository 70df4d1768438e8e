package signature_test

import (
	"testing"
	"time"

	"defenseclaw/engine/bundle"
)

func TestABundleIsVerifiedAsItWasRead(t *testing.T) {
	key := rsaKey()
	r := release(t, key, nil)
	text := []byte(sign(t, signer(t, "release", scope, key), policy().write(t), time.Time{}))
	of := func(in files) (all []bundle.File) {
		for p, content := range in {
			all = append(all, bundle.File{Path: p, Content: []byte(content)})
		}
		return all
	}
	for name, c := range map[string]struct {
		signatures []byte
		files      files
		want       []string
	}{
		"as signed":       {text, policy(), nil},
		"altered":         {text, policy().with("a.rego", "package a\n"), []string{"a.rego file_altered"}},
		"another file":    {text, policy().with("other.txt", ""), []string{"other.txt file_not_signed"}},
		"a file is gone":  {text, policy().without("README.md"), []string{"README.md signed_file_missing"}},
		"not signed":      {nil, policy(), []string{signed + " signature_missing"}},
		"empty signature": {[]byte{}, policy(), []string{signed + " signature_invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := r.VerifyBundle(c.signatures, of(c.files))
			expectRefused(t, err, c.want...)
			if (err == nil) != (v.By == "release") {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}
