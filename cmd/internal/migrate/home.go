package migrate

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"defenseclaw/cmd/internal/private"
	"defenseclaw/cmd/internal/settings"
	"defenseclaw/cmd/internal/sidecar"
)

// directory is about who may write to the data directory.
func (c *check) directory() error {
	if err := private.Check(c.set.DataDir); err != nil {
		c.attention("directory", "a start refuses the directory until then", "%v", err)
	}
	return nil
}

// processes is about programs that run on the data directory now.
func (c *check) processes() error {
	if g, ok := c.set.Running(); ok && alive(g.PID) {
		c.attention("process", "stop it before another one starts", "this program already runs on the directory, as process %d", g.PID)
	}
	var original struct {
		PID int `json:"pid"`
	}
	text, err := os.ReadFile(filepath.Join(c.set.DataDir, "gateway.pid"))
	if err == nil && (json.Unmarshal(text, &original) != nil || original.PID == 0) {
		original.PID, _ = strconv.Atoi(strings.TrimSpace(string(text))) // as older versions wrote it
	}
	if original.PID != 0 && alive(original.PID) {
		c.attention("process", "run defenseclaw-gateway stop, of the original, before its program is replaced",
			"the original seems to run on the directory, as process %d of gateway.pid", original.PID)
	}
	return nil
}

// alive reports whether there is a process with this id.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, fs.ErrPermission) // another user's
}

// address is about the address that a start takes.
func (c *check) address() error {
	addr := net.JoinHostPort(c.set.APIBind, strconv.Itoa(c.set.APIPort))
	if c.set.APISocket != "" {
		c.found(Used, "address", "the Unix socket %s", c.set.APISocket)
		return nil
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // it does not wait
	if err != nil {
		c.attention("address", "stop the program that uses it, or choose another with --api-port", "a start cannot listen on %s: %v", addr, err)
		return nil
	}
	if c.set.APIPort == 0 {
		addr = c.set.APIBind + " with a free port"
	}
	c.found(Used, "address", "%s", addr)
	if sidecar.OnlyLocal(l) {
		return l.Close()
	}
	if _, explicit, err := c.set.Token(); err == nil && !explicit || errors.Is(err, settings.ErrNoToken) {
		c.attention("address", "set "+settings.TokenVariable, "%s can be reached from other machines, and a start refuses that without a token that was set", addr)
	}
	if c.set.TLSCert == "" && !c.set.Insecure {
		c.attention("address", "set gateway.tls_cert and gateway.tls_key, or --insecure where the network is trusted",
			"%s can be reached from other machines, and without TLS a start refuses it", addr)
	}
	return l.Close()
}

// token is about the token that callers must present.
func (c *check) token() error {
	token, _, err := c.set.Token()
	switch {
	case errors.Is(err, settings.ErrNoToken):
		c.found(Used, "token", "there is none: the first start makes one and adds it to .env")
		return nil
	case err != nil:
		return err
	}
	from := c.set.TokenSource()
	if why := sidecar.Weakness(token); why != "" {
		c.attention("token", "set a random one, such as openssl rand -hex 32 prints, and give it to all callers", "the token from %s is weak, and a start refuses it: %s", from, why)
	} else {
		c.found(Used, "token", "the one from %s, so callers need no other", from)
	}
	if env := filepath.Join(c.set.DataDir, ".env"); private.ReadByOthers(env) {
		c.attention("token", "run chmod 600 "+env, "other users of this machine can read .env, and the token in it")
	}
	return nil
}

// guardrail is about who is asked for the guardrail: a person, and a language model.
func (c *check) guardrail() error {
	if h := c.set.HILT; h.Enabled {
		c.found(Used, "guardrail", "guardrail.hilt of config.yaml: a person is asked (confirm) from %s on", h.MinSeverity)
	}
	if url := c.set.Judge.BaseURL; url != "" {
		c.attention("judge", "leave judge.base_url out if contents must not be sent there",
			"a judge is configured: POST /v1/guardrail/evaluate sends contents to %s, and the answer counts in the decision", url)
	}
	return nil
}

// left are files of the original that this program does not read, and what becomes of their purpose.
var left = []struct{ name, why string }{
	{"block_list.yaml", "the lists are those of the database"},
	{"allow_list.yaml", "so are these"},
	{"device.key", "it is for the connection to the agent's gateway"},
	{"hooks", "hooks call the original's routes for hooks, which are not here"},
	{"judge_bodies.db", "answers of the model are not kept here"},
	{"gateway.jsonl", "events are on GET /policy/events and in the log"},
	{"gateway.log", "the log goes to standard error"},
	{"policies/guardrail", "rule packs are read by the original's scanners; no scanner is here"},
}

// files is about what else lies in the data directory.
func (c *check) files() error {
	for _, f := range left {
		if _, err := os.Lstat(filepath.Join(c.set.DataDir, filepath.FromSlash(f.name))); err == nil {
			c.found(Ignored, "files", "%s: %s", f.name, f.why)
		}
	}
	presets, err := filepath.Glob(filepath.Join(c.set.DataDir, "policies", "*.yaml"))
	if err != nil || len(presets) == 0 {
		return err
	}
	for i, p := range presets {
		presets[i] = strings.TrimSuffix(filepath.Base(p), ".yaml")
	}
	slices.Sort(presets)
	c.found(Ignored, "files", "presets in policies that no program serves until one is activated: %s", strings.Join(presets, ", "))
	return nil
}
