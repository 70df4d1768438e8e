package signature

import (
	"bytes"

	"defenseclaw/engine"
	"defenseclaw/engine/bundle"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/source"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"
)

// VerifyBundle says who signed a bundle, of the bytes that were read: every file of it is among what was signed, and nothing
// that was signed is missing, as OPA demands. signatures is nil where the bundle has none.
func (r *Release) VerifyBundle(signatures []byte, files []bundle.File) (engine.Verified, error) {
	if signatures == nil && r.bundle.Optional {
		return engine.Verified{}, nil
	}
	if signatures == nil {
		return engine.Verified{}, about(source.SignaturesName, diagnostic.CodeSignatureMissing, "there is none")
	}
	found, err := r.verifyToken(signatures)
	if err != nil {
		return engine.Verified{}, about(source.SignaturesName, diagnostic.CodeSignatureInvalid, err.Error())
	}
	var wrong diagnostic.List
	for _, f := range files {
		if r.excluded(f.Path) {
			delete(found.files, f.Path)
			continue
		}
		if d, bad := compareFile(f.Path, *bytes.NewBuffer(f.Content), found.files); bad {
			wrong = append(wrong, d)
		}
	}
	for name := range found.files { // what is left
		if !opabundle.IsSignaturesFile(name) {
			wrong = append(wrong, diagnostic.Diagnostic{File: name, Code: diagnostic.CodeSignedFileGone, Message: "it was signed, and is not there"})
		}
	}
	if len(wrong) > 0 {
		return engine.Verified{}, bounded(wrong)
	}
	return engine.Verified{By: found.key.ID, Fingerprint: found.key.Fingerprint}, nil
}
