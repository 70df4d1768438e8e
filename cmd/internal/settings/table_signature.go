package settings

import (
	"slices"
	"strings"
)

// Signature are the settings of signed sources. They are settings of the process, not of the policy directory: who can edit
// policy cannot say whose signature counts.
type Signature struct {
	Keys  []SignatureKey // that sign releases; empty: no file of signatures is asked for
	Scope string         // that such a signature must have

	Git            string // off, commit or tag: what of git has to be signed
	AllowedSigners string // file of ssh's allowed signers; empty: none
	Keyring        string // file of OpenPGP public keys; empty: none
	Monotonic      bool   // no commit serves that is older than one that served
}

// SignatureKey is a key in a file.
type SignatureKey struct {
	ID        string
	Algorithm string // empty: by the kind of the key
	File      string
}

func signing(s *Signature) []Setting {
	return []Setting{
		{
			Flag: "signature-keys", Env: "DEFENSECLAW_SIGNATURE_KEYS", Key: "signature.keys", value: signatureKeys(&s.Keys),
			Help: "serve only what one of these keys signed in .signatures.json: `NAME=FILE` with a public key or, as NAME:HS256=FILE, a secret; commas between several",
		},
		{
			Flag: "signature-scope", Env: "DEFENSECLAW_SIGNATURE_SCOPE", Key: "signature.scope", value: text(&s.Scope),
			Help: "the `SCOPE` that such a signature must have, which tells the policies apart that one key signs",
		},
		{
			Flag: "signature-git", Env: "DEFENSECLAW_SIGNATURE_GIT", Key: "signature.git", Default: "off", value: choice(&s.Git, "off", "commit", "tag"),
			Help: "serve only files that are as HEAD's commit of the work tree has them: with commit, it has to be signed, with tag, an annotated tag of it; `WHAT` is off, commit or tag",
		},
		{
			Flag: "signature-allowed-signers", Env: "DEFENSECLAW_SIGNATURE_ALLOWED_SIGNERS", Key: "signature.allowed_signers", value: path(&s.AllowedSigners),
			Help: "trust the ssh keys in `FILE`, which has the format of git's gpg.ssh.allowedSignersFile",
		},
		{
			Flag: "signature-keyring", Env: "DEFENSECLAW_SIGNATURE_KEYRING", Key: "signature.keyring", value: path(&s.Keyring),
			Help: "trust the OpenPGP public keys in `FILE`, as gpg --export writes it",
		},
		{
			Flag: "signature-monotonic", Env: "DEFENSECLAW_SIGNATURE_MONOTONIC", Key: "signature.monotonic", Default: "false", value: boolean(&s.Monotonic),
			Help: "refuse a commit that is an ancestor of one that served, also before a restart",
		},
	}
}

// signatureKeys takes a list of NAME=FILE and NAME:ALGORITHM=FILE.
func signatureKeys(field *[]SignatureKey) value {
	var entries []string
	v := list(&entries)
	split := v.set
	v.expected = "a list of NAME=FILE or NAME:ALGORITHM=FILE"
	v.set = func(f found) error {
		if err := split(f); err != nil {
			return err
		}
		*field = nil
		for _, entry := range entries {
			name, file, ok := strings.Cut(entry, "=")
			name, algorithm, named := strings.Cut(name, ":")
			if !ok || name == "" || file == "" || named && !slices.Contains(signatureAlgorithms, algorithm) {
				return errValue
			}
			*field = append(*field, SignatureKey{name, algorithm, f.resolvePath(file)})
		}
		return nil
	}
	return v
}

// signatureAlgorithms are OPA's.
var signatureAlgorithms = []string{
	"ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
}
