package sidecar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api/judge"
	"defenseclaw/engine"
	"defenseclaw/engine/source"

	"go.yaml.in/yaml/v3"
)

// A Setting is one thing an operator can choose: by flag, environment, config.yaml or not at all,
// in this order.
type Setting struct {
	Flag    string // without dashes; empty: not by flag, and known by its Key
	Env     string // empty: not by environment
	Key     string // dotted path in config.yaml; empty: not there
	Default string
	Usage   string
	Bool    bool
}

// Table is every setting there is; flags, documentation and resolution are made from it.
var Table = []Setting{
	{Flag: "policy-dir", Env: "DEFENSECLAW_POLICY_DIR", Key: "policy_dir", Usage: "serve and watch the policy in `DIR`; without it the embedded default pack is served"},
	{Flag: "data-dir", Env: "DEFENSECLAW_HOME", Default: "~/.defenseclaw", Usage: "keep the token and the sidecar's own files in `DIR`"},
	{Flag: "api-bind", Env: "DEFENSECLAW_API_BIND", Key: "gateway.api_bind", Default: "127.0.0.1", Usage: "listen on `ADDRESS`"},
	{Flag: "api-port", Env: "DEFENSECLAW_API_PORT", Key: "gateway.api_port", Default: "18970", Usage: "listen on `PORT`; 0 picks a free one"},
	{Flag: "api-socket", Env: "DEFENSECLAW_API_SOCKET", Key: "gateway.api_socket", Usage: "listen on the Unix socket `PATH` in place of an address"},
	{Flag: "tls-cert", Env: "DEFENSECLAW_TLS_CERT", Key: "gateway.tls_cert", Usage: "serve TLS with the certificate in `FILE`, which is read again when it changes"},
	{Flag: "tls-key", Env: "DEFENSECLAW_TLS_KEY", Key: "gateway.tls_key", Usage: "its key is in `FILE`"},
	{Flag: "client-ca", Env: "DEFENSECLAW_CLIENT_CA", Key: "gateway.client_ca", Usage: "let in only callers with a certificate of the authorities in `FILE`"},
	{Flag: "client-cert", Env: "DEFENSECLAW_CLIENT_CERT", Key: "gateway.client_cert", Usage: "commands show the sidecar the certificate in `FILE`"},
	{Flag: "client-key", Env: "DEFENSECLAW_CLIENT_KEY", Key: "gateway.client_key", Usage: "its key is in `FILE`"},
	{Flag: "rate-limit", Env: "DEFENSECLAW_RATE_LIMIT", Key: "gateway.rate_limit", Default: "100", Usage: "answer one address beyond this machine `N` requests a second"},
	{Flag: "watch", Env: "DEFENSECLAW_WATCH", Key: "watch.enabled", Default: "true", Bool: true, Usage: "reload when files change"},
	{Flag: "watch-mode", Env: "DEFENSECLAW_WATCH_MODE", Key: "watch.mode", Default: "auto", Usage: "watch by `MODE`: auto or notify (kernel events; polling while there are none), or poll"},
	{Flag: "debounce", Env: "DEFENSECLAW_DEBOUNCE", Key: "watch.debounce", Default: "20ms", Usage: "take an in-place write as complete after `DURATION` of quiet"},
	{Flag: "poll-interval", Env: "DEFENSECLAW_POLL_INTERVAL", Key: "watch.poll_interval", Default: "1s", Usage: "scan the directory every `DURATION` where there are no events"},
	{Flag: "safety-interval", Env: "DEFENSECLAW_SAFETY_INTERVAL", Key: "watch.safety_interval", Default: "30s", Usage: "scan the directory every `DURATION` under the events"},
	{Flag: "full-check-interval", Env: "DEFENSECLAW_FULL_CHECK_INTERVAL", Key: "watch.full_check_interval", Default: "10m", Usage: "compare the contents of all files every `DURATION`"},
	{Flag: "max-file-bytes", Env: "DEFENSECLAW_MAX_FILE_BYTES", Key: "engine.max_file_bytes", Default: "536870912", Usage: "refuse a policy or data file of more than `N` bytes"},
	{Flag: "max-files", Env: "DEFENSECLAW_MAX_FILES", Key: "engine.max_files", Default: "100000", Usage: "refuse a directory with more than `N` policy and data files"},
	{Flag: "max-depth", Env: "DEFENSECLAW_MAX_DEPTH", Key: "engine.max_depth", Default: "64", Usage: "refuse folders more than `N` deep"},
	{Flag: "decision-timeout", Env: "DEFENSECLAW_DECISION_TIMEOUT", Key: "engine.decision_timeout", Default: "1s", Usage: "end a decision that takes longer than `DURATION`"},
	{Flag: "max-decisions", Env: "DEFENSECLAW_MAX_DECISIONS", Key: "engine.max_decisions", Default: "0", Usage: "make `N` decisions at once and let more wait a moment; 0: four for each processor, and eight at least"},
	{Flag: "allow-outside-links", Env: "DEFENSECLAW_ALLOW_OUTSIDE_LINKS", Key: "engine.allow_outside_links", Default: "false", Bool: true, Usage: "follow symbolic links that lead out of the policy directory"},
	{Flag: "validate-only", Key: "engine.validate_only", Default: "false", Bool: true, Usage: "serve no decisions; POST /policy/reload only checks the directory"},
	{Flag: "log-format", Env: "DEFENSECLAW_LOG_FORMAT", Key: "log.format", Default: "auto", Usage: "log as `FORMAT`: console, json, or auto for console on a terminal and json elsewhere"},
	{Flag: "authzen-policy", Env: "DEFENSECLAW_AUTHZEN_POLICY", Key: "authzen.policy", Default: "authzen/allow", Usage: "answer AuthZEN's evaluations by the document at `PATH`"},
	{Flag: "ext-authz-addr", Env: "DEFENSECLAW_EXT_AUTHZ_ADDR", Key: "ext_authz.addr", Usage: "answer Envoy's ext_authz over gRPC on `ADDRESS`, HOST:PORT or unix:PATH"},
	{Flag: "ext-authz-path", Env: "DEFENSECLAW_EXT_AUTHZ_PATH", Key: "ext_authz.path", Default: "envoy/authz/allow", Usage: "answer Envoy by the document at `PATH`"},
	{Flag: "ext-authz-dry-run", Env: "DEFENSECLAW_EXT_AUTHZ_DRY_RUN", Key: "ext_authz.dry_run", Default: "false", Bool: true, Usage: "let Envoy pass every request, and log which would not have been"},
	{Flag: "decision-log", Env: "DEFENSECLAW_DECISION_LOG", Key: "decision_logs.console", Default: "false", Bool: true, Usage: "write each decision to standard output, an event of OPA's decision log per line"},
	{Flag: "decision-log-file", Env: "DEFENSECLAW_DECISION_LOG_FILE", Key: "decision_logs.file", Usage: "write each decision to `FILE`, which is put aside when it is large"},
	{Flag: "decision-log-url", Env: "DEFENSECLAW_DECISION_LOG_URL", Key: "decision_logs.url", Usage: "upload each decision to OPA's decision log service at `URL`, below which is /logs"},
	{Key: "decision_logs.file_max_megabytes", Default: "100", Usage: "put the file aside when it is larger"},
	{Key: "decision_logs.file_backups", Default: "5", Usage: "keep so many files that were put aside"},
	{Key: "decision_logs.token_env", Default: "DEFENSECLAW_DECISION_LOG_TOKEN", Usage: "show the service the bearer token in the environment variable of this name"},
	{Key: "decision_logs.partition", Usage: "upload to /logs/ and this in place of /logs"},
	{Key: "decision_logs.min_delay", Default: "1s", Usage: "wait so long between uploads at least, unless one is full"},
	{Key: "decision_logs.max_delay", Default: "10s", Usage: "and so long at most, also after failures"},
	{Key: "decision_logs.upload_size_limit_bytes", Default: "32768", Usage: "upload so much at once, compressed"},
	{Key: "decision_logs.buffer_size_limit_bytes", Default: "10485760", Usage: "keep so much that waits to be made into events, and so much that waits to be uploaded"},
	{Key: "decision_logs.mask_decision", Default: "system/log/mask", Usage: "ask the document here what to mask"},
	{Key: "decision_logs.drop_decision", Default: "system/log/drop", Usage: "ask the document here whether to drop an event"},
	{Key: "audit.max_age", Default: "2160h", Usage: "remove audit records that are older"},
	{Key: "audit.max_bytes", Default: "268435456", Usage: "remove the oldest audit records while all take more"},
	{Key: "judge.base_url", Usage: "turn the judge on and ask the OpenAI-compatible endpoint here"},
	{Key: "judge.model", Usage: "ask this model"},
	{Key: "judge.api_key_env", Default: "DEFENSECLAW_LLM_KEY", Usage: "take the endpoint's key from the environment variable of this name"},
	{Key: "judge.fail_mode", Default: "open", Usage: "what a text gets that could not be judged: open or closed"},
	{Key: "judge.kinds", Default: "injection, exfil, pii", Usage: "ask for these kinds"},
	{Key: "judge.timeout", Default: "30s", Usage: "judge one text for this long at most"},
	{Key: "judge.max_retries", Default: "2", Usage: "send a request again so many times; -1: never"},
	{Key: "judge.max_concurrent", Default: "16", Usage: "so many requests may be under way"},
	{Key: "judge.max_content_bytes", Default: "131072", Usage: "refuse longer texts"},
	{Key: "judge.max_answer_tokens", Default: "1024", Usage: "let the model write so much"},
	{Key: "judge.cache_ttl", Default: "30s", Usage: "keep verdicts for this long"},
	{Key: "judge.cache_entries", Default: "4096", Usage: "keep so many verdicts"},
	{Flag: "log-level", Env: "DEFENSECLAW_LOG_LEVEL", Key: "log.level", Default: "info", Usage: "log from `LEVEL` up: debug, info, warn or error"},
}

// Settings are the choices, resolved and checked.
type Settings struct {
	PolicyDir       string // empty: the embedded pack
	DataDir         string
	APIBind         string
	APIPort         int
	APISocket       string // empty: TCP
	TLSCert         string // empty: plain HTTP
	TLSKey          string
	ClientCA        string // empty: callers need no certificate
	ClientCert      string // of commands; may be empty
	ClientKey       string
	RateLimit       int  // requests a second
	AddrChosen      bool // bind or port was set by somebody, so gateway.json is not asked
	Watch           bool
	WatchMode       string
	Debounce        time.Duration
	Poll            time.Duration // between scans where there are no events
	Safety          time.Duration // between scans under the events
	FullCheck       time.Duration // between comparisons of contents
	Limits          source.Limits
	DecisionTimeout time.Duration
	MostDecisions   int  // at once; 0: by the number of processors
	OutsideLinks    bool // follow links out of the policy directory
	ValidateOnly    bool
	AuthZEN         engine.Path // the document that decides AuthZEN's evaluations
	ExtAuthz        ExtAuthz
	LogFormat       string
	LogLevel        string
	AuditAge        time.Duration // audit records are kept for
	AuditBytes      int64         // and may take
	Judge           judge.Config  // without BaseURL: there is none
	Decisions       decisionLog

	config map[string]any // config.yaml
}

// Resolve finds the value of every setting. flag returns a flag's value and whether it was given.
func Resolve(flag func(name string) (string, bool), getenv func(string) string) (Settings, error) {
	r := resolver{flag: flag, getenv: getenv}
	s := Settings{}
	var err error
	if s.DataDir, err = expandHome(r.text("data-dir"), getenv); err != nil {
		return s, err
	}
	if r.config, err = readConfig(filepath.Join(s.DataDir, "config.yaml")); err != nil {
		return s, err
	}
	s.config = r.config
	s.PolicyDir = r.path("policy-dir", s.DataDir)
	s.APIBind = strings.TrimSuffix(strings.TrimPrefix(r.text("api-bind"), "["), "]")
	s.APIPort = parse(&r, "api-port", "a port from 0 to 65535", func(v string) (int, error) {
		port, err := strconv.ParseUint(v, 10, 16)
		return int(port), err
	})
	s.AddrChosen = r.chosen("api-bind") || r.chosen("api-port")
	s.APISocket = r.path("api-socket", s.DataDir)
	s.TLSCert, s.TLSKey = r.path("tls-cert", s.DataDir), r.path("tls-key", s.DataDir)
	s.ClientCA = r.path("client-ca", s.DataDir)
	s.ClientCert, s.ClientKey = r.path("client-cert", s.DataDir), r.path("client-key", s.DataDir)
	s.RateLimit = parse(&r, "rate-limit", "a number", count)
	s.Watch = parse(&r, "watch", "true or false", strconv.ParseBool)
	s.ValidateOnly = parse(&r, "validate-only", "true or false", strconv.ParseBool)
	s.WatchMode = parse(&r, "watch-mode", "auto, notify or poll", oneOf("auto", "notify", "poll"))
	s.LogFormat = parse(&r, "log-format", "auto, console or json", oneOf("auto", "console", "json"))
	s.LogLevel = parse(&r, "log-level", "debug, info, warn or error", oneOf("debug", "info", "warn", "error"))
	s.Debounce = parse(&r, "debounce", "a duration such as 20ms", duration)
	s.Poll = parse(&r, "poll-interval", "a duration such as 1s", duration)
	s.Safety = parse(&r, "safety-interval", "a duration such as 30s", duration)
	s.FullCheck = parse(&r, "full-check-interval", "a duration such as 10m", duration)
	s.DecisionTimeout = parse(&r, "decision-timeout", "a duration such as 1s", duration)
	s.MostDecisions = parse(&r, "max-decisions", "a number, or 0", func(v string) (int, error) {
		n, err := strconv.ParseUint(v, 10, 31)
		return int(n), err
	})
	s.OutsideLinks = parse(&r, "allow-outside-links", "true or false", strconv.ParseBool)
	s.Limits = source.Limits{
		FileBytes: int64(parse(&r, "max-file-bytes", "a number of bytes", count)),
		Files:     parse(&r, "max-files", "a number", count),
		Depth:     parse(&r, "max-depth", "a number", count),
	}
	s.AuthZEN = parse(&r, "authzen-policy", "a path such as authzen/allow", document)
	s.ExtAuthz = resolveExtAuthz(&r, s.DataDir)
	s.AuditAge = parse(&r, "audit.max_age", "a duration such as 2160h", duration)
	s.AuditBytes = int64(parse(&r, "audit.max_bytes", "a number of bytes", count))
	s.Judge = resolveJudge(&r, getenv)
	s.Decisions = resolveDecisionLog(&r, s.DataDir, getenv)
	return s, errors.Join(r.wrong...)
}

var errNotPositive = errors.New("not more than zero")

func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil && d <= 0 {
		err = errNotPositive
	}
	return d, err
}

func count(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err == nil && n <= 0 {
		err = errNotPositive
	}
	return n, err
}

// document reads a path that names something.
func document(v string) (engine.Path, error) {
	path, err := engine.ParsePath(v)
	if err == nil && len(path) == 0 {
		err = errors.New("it is empty")
	}
	return path, err
}

type resolver struct {
	flag   func(string) (string, bool)
	getenv func(string) string
	config map[string]any
	wrong  []error
}

// find returns a setting's value and where it came from; from is empty for the default.
func (r *resolver) find(name string) (value, from string) {
	i := slices.IndexFunc(Table, func(s Setting) bool { return s.Flag == name || s.Key == name })
	setting := Table[i]
	if setting.Flag != "" {
		if v, ok := r.flag(name); ok {
			return v, "--" + name
		}
	}
	if setting.Env != "" {
		if v := r.getenv(setting.Env); v != "" {
			return v, setting.Env
		}
	}
	if setting.Key != "" {
		if v := lookUp(r.config, setting.Key); v != "" {
			return v, setting.Key + " in config.yaml"
		}
	}
	return setting.Default, ""
}

func (r *resolver) text(name string) string {
	v, _ := r.find(name)
	return v
}

func (r *resolver) chosen(name string) bool {
	_, from := r.find(name)
	return from != ""
}

// path takes a relative path in config.yaml as relative to that file, as its reader would.
func (r *resolver) path(name, configDir string) string {
	v, from := r.find(name)
	if v != "" && !filepath.IsAbs(v) && fromConfig(from) {
		return filepath.Join(configDir, v)
	}
	return v
}

func fromConfig(from string) bool { return strings.HasSuffix(from, "config.yaml") }

func parse[T any](r *resolver, name, expected string, read func(string) (T, error)) T {
	v, from := r.find(name)
	t, err := read(v)
	if err != nil {
		r.wrong = append(r.wrong, fmt.Errorf("%s is %q: %s was expected", from, v, expected))
	}
	return t
}

func oneOf(allowed ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if !slices.Contains(allowed, v) {
			return "", errors.New("not one of them")
		}
		return v, nil
	}
}

func expandHome(path string, getenv func(string) string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' {
		return path, nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("the data directory is under the home directory, and HOME is not set: set --data-dir or DEFENSECLAW_HOME")
	}
	return filepath.Join(home, rest), nil
}

func readConfig(path string) (map[string]any, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read the settings in %s: %w", path, err)
	}
	return config, nil
}

// lookUp finds a.b in nested maps and gives it as text, empty when it is not there.
func lookUp(config map[string]any, key string) string {
	var v any = config
	for part := range strings.SplitSeq(key, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[part]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
