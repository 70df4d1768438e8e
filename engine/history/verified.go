package history

import (
	"time"

	"defenseclaw/engine"
)

// The names in the object of the manifest that says who signed the files.
const (
	verifiedBy     = "by"
	verifiedKey    = "fingerprint"
	verifiedCommit = "commit"
	verifiedTime   = "commit_time"
)

func verifiedMeta(v engine.Verified) map[string]string {
	m := map[string]string{verifiedBy: v.By, verifiedKey: v.Fingerprint}
	if v.Commit != "" {
		m[verifiedCommit], m[verifiedTime] = v.Commit, v.CommitTime.UTC().Format(time.RFC3339)
	}
	return m
}

// verifiedOf is zero for what is no such object: then the entry counts as one that nobody verified.
func verifiedOf(meta any) engine.Verified {
	m, _ := meta.(map[string]any)
	text := func(name string) string { s, _ := m[name].(string); return s }
	v := engine.Verified{By: text(verifiedBy), Fingerprint: text(verifiedKey), Commit: text(verifiedCommit)}
	v.CommitTime, _ = time.Parse(time.RFC3339, text(verifiedTime))
	return v
}

// marked reports whether an entry of before serves as one of now after a restart: files that were kept before a
// signature was asked for, or under another key, are kept again with who signed them.
func marked(before, now engine.Verified) bool {
	return now == (engine.Verified{}) || before.Fingerprint == now.Fingerprint
}
