package settings

import (
	"slices"
	"sync"
)

// A Setting is one row of the table: everything there is to say about one choice.
type Setting struct {
	Flag    string // without dashes; empty: no flag
	Env     string // environment variable; empty: none
	Key     string // dotted path in config.yaml; empty: none
	Default string
	Help    string // the flag's placeholder is in backquotes
	Applies Applies

	value value
}

// Applies says when a change of a setting in config.yaml takes effect.
type Applies int

// When a change takes effect.
const (
	AfterRestart Applies = iota // of the sidecar
	AtOnce                      // while the sidecar runs
	NextCommand                 // only commands use it, and each reads it anew
)

func (a Applies) String() string {
	return [...]string{"after a restart", "at once", "to the next command"}[a]
}

// IsBool reports whether the flag takes no value.
func (s Setting) IsBool() bool { return s.value.isBool }

// Table returns every setting, in the order of --help. Callers must not change it.
func Table() []Setting { return everySetting() }

// everySetting makes the rows once: each command asks for them, for its flags.
var everySetting = sync.OnceValue(func() []Setting { return table(new(Settings)) })

// table makes the rows, which store what they read in s.
func table(s *Settings) []Setting {
	return slices.Concat(
		places(s), sourcing(s), following(s), observing(s), staling(s), listening(s), bounding(s), reconfiguring(s), admitting(s), watching(s), loading(s), evaluating(s), deciding(s), guarding(s),
		accessLog(&s.Access), decisionLog(&s.Decisions), decisionLogSecrets(&s.Decisions), recording(&s.Record), keeping(s), approving(s), signing(&s.Signature), judging(&s.Judge), originalJudging(&s.originalJudge), logging(s),
	)
}

func places(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "policy-dir", Env: PolicyDirVariable, Key: "policy_dir", value: sourced(&s.policySource, path(&s.PolicyDir)),
			Help: "serve and watch the policy in `DIR`; without it policies in the data directory if that holds Rego, else the embedded default pack",
		},
		dataDir(s),
		{
			Env: "DEFENSECLAW_OTHER_VARIABLES", Key: "other_variables", value: list(&s.OtherVariables),
			Help: "variables of other programs that begin with DEFENSECLAW_, with commas between them, where NAME* is all that begin with NAME; any other that is no setting refuses the start",
		},
	}
}

// dataDir is resolved before the other settings: config.yaml is in that directory.
func dataDir(s *Settings) Setting {
	return Setting{
		Flag: "data-dir", Env: "DEFENSECLAW_HOME", Default: "~/.defenseclaw", value: home(&s.DataDir),
		Help: "keep the token and the sidecar's own files in `DIR`",
	}
}

func listening(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "api-bind", Env: "DEFENSECLAW_API_BIND", Key: "gateway.api_bind", Default: "127.0.0.1",
			Help: "listen on `ADDRESS`", value: noting(&s.AddrChosen, host(&s.APIBind)),
		},
		{
			Flag: "api-port", Env: "DEFENSECLAW_API_PORT", Key: "gateway.api_port", Default: "18970",
			Help: "listen on `PORT`; 0 picks a free one", value: noting(&s.AddrChosen, port(&s.APIPort)),
		},
		{
			Flag: "api-socket", Env: "DEFENSECLAW_API_SOCKET", Key: "gateway.api_socket", value: path(&s.APISocket),
			Help: "listen on the Unix socket `PATH` instead of a TCP address",
		},
		{
			Flag: "local-socket", Env: "DEFENSECLAW_LOCAL_SOCKET", Key: "gateway.local_socket", Default: "true",
			Help:  "also listen on the Unix socket sidecar.sock in the data directory, over which this user and root need no token",
			value: boolean(&s.LocalSocket),
		},
		{
			Flag: "console", Env: "DEFENSECLAW_CONSOLE", Key: "gateway.console", Default: "true",
			Help:  "serve pages for people at /console/, for who signs in; beyond loopback only if this is set",
			value: sourced(&s.consoleSetBy, boolean(&s.Console)),
		},
		{
			Applies: NextCommand,
			Flag:    "any-listener", Env: "DEFENSECLAW_ANY_LISTENER", Key: "gateway.any_listener", Default: "false", value: boolean(&s.AnyListener),
			Help: "let commands send the token over plain HTTP without proof that the sidecar listens there",
		},
		{
			Flag: "insecure", Env: "DEFENSECLAW_INSECURE", Key: "gateway.insecure", Default: "false", value: boolean(&s.Insecure),
			Help: "serve beyond loopback without TLS, where tokens can be read on the way",
		},
		{
			Flag: "tls-cert", Env: "DEFENSECLAW_TLS_CERT", Key: "gateway.tls_cert", value: path(&s.TLSCert),
			Help: "serve TLS with the certificate in `FILE`, which is reloaded when it changes",
		},
		{
			Flag: "tls-key", Env: "DEFENSECLAW_TLS_KEY", Key: "gateway.tls_key", value: path(&s.TLSKey),
			Help: "private key `FILE` for --tls-cert",
		},
		{
			Flag: "client-ca", Env: "DEFENSECLAW_CLIENT_CA", Key: "gateway.client_ca", value: path(&s.ClientCA),
			Help: "require client certificates signed by the CAs in `FILE`",
		},
		{
			Applies: NextCommand,
			Flag:    "client-cert", Env: "DEFENSECLAW_CLIENT_CERT", Key: "gateway.client_cert", value: path(&s.ClientCert),
			Help: "certificate `FILE` that commands present to the sidecar",
		},
		{
			Applies: NextCommand,
			Flag:    "client-key", Env: "DEFENSECLAW_CLIENT_KEY", Key: "gateway.client_key", value: path(&s.ClientKey),
			Help: "private key `FILE` for --client-cert",
		},
	}
}

func bounding(s *Settings) []Setting {
	return []Setting{
		{
			Applies: AtOnce,
			Flag:    "allowed-hosts", Env: "DEFENSECLAW_ALLOWED_HOSTS", Key: "gateway.allowed_hosts", value: hosts(&s.AllowedHosts),
			Help: "let browsers call by `NAMES` too, with commas between them; other programs may call by any name",
		},
		{
			Applies: AtOnce,
			Flag:    "rate-limit", Env: "DEFENSECLAW_RATE_LIMIT", Key: "gateway.rate_limit", Default: "100",
			Help:  "allow `N` requests per second from each remote address; unless it is given, there is no limit where an operator set or made a token",
			value: noting(&s.RateLimitChosen, positive(&s.RateLimit, "a number")),
		},
		{
			Flag: "max-connections", Env: "DEFENSECLAW_MAX_CONNECTIONS", Key: "gateway.max_connections", Default: "0",
			Help:  "keep at most `N` connections open; 0: as many as the limit of open files permits, and at most 4096",
			value: natural(&s.MaxConnections, "a number, or 0"),
		},
		{
			Flag: "max-connections-per-address", Env: "DEFENSECLAW_MAX_CONNECTIONS_PER_ADDRESS", Key: "gateway.max_connections_per_address", Default: "0",
			Help:  "keep at most `N` of them open for each remote address; 0: three quarters of all",
			value: natural(&s.MaxPerAddress, "a number, or 0"),
		},
		{
			Flag: "shutdown-delay", Env: "DEFENSECLAW_SHUTDOWN_DELAY", Key: "gateway.shutdown_delay", Default: "0s",
			Help:  "after SIGTERM or SIGINT serve for another `DURATION`, with GET /health/ready at 503, and drain requests then",
			value: delay(&s.ShutdownDelay),
		},
	}
}

func reconfiguring(s *Settings) []Setting {
	return []Setting{
		{
			Applies: AtOnce,
			Key:     "gateway.config_reload.mode", Default: "hot", value: choice(&s.ConfigReload, "hot", "restart"),
			Help: "hot applies a change of config.yaml while the sidecar runs, as far as this table says; restart names it in log and status, and applies it after a restart",
		},
	}
}

func admitting(s *Settings) []Setting {
	return []Setting{
		{
			Key: "gateway.token_env", value: s.tokenVariable(),
			Help: "variable with the token that callers must present, in the environment or in .env in the data directory; it goes before DEFENSECLAW_GATEWAY_TOKEN",
		},
		{
			Env: TokenVariable, Key: "gateway.token", value: s.tokenText(),
			Help: "token that callers must present; the variable may be in .env in the data directory, and may be called OPENCLAW_GATEWAY_TOKEN; " +
				"without a token the first start generates one and keeps it in .env",
		},
	}
}

func watching(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "watch", Env: "DEFENSECLAW_WATCH", Key: "watch.enabled", Default: "true",
			Help: "reload when files change", value: boolean(&s.Watch),
		},
		{
			Flag: "watch-mode", Env: "DEFENSECLAW_WATCH_MODE", Key: "watch.mode", Default: "auto",
			Help:  "watch by `MODE`: auto or notify (kernel events; polling while there are none), or poll",
			value: choice(&s.WatchMode, "auto", "notify", "poll"),
		},
		{
			Flag: "debounce", Env: "DEFENSECLAW_DEBOUNCE", Key: "watch.debounce", Default: "20ms",
			Help: "treat an in-place write as complete after `DURATION` without another", value: duration(&s.Debounce),
		},
		{
			Flag: "poll-interval", Env: "DEFENSECLAW_POLL_INTERVAL", Key: "watch.poll_interval", Default: "1s",
			Help: "scan the directory every `DURATION` where there are no events", value: duration(&s.PollInterval),
		},
		{
			Flag: "safety-interval", Env: "DEFENSECLAW_SAFETY_INTERVAL", Key: "watch.safety_interval", Default: "30s",
			Help: "scan the directory every `DURATION` in addition to events", value: duration(&s.SafetyInterval),
		},
		{
			Flag: "full-check-interval", Env: "DEFENSECLAW_FULL_CHECK_INTERVAL", Key: "watch.full_check_interval", Default: "10m",
			Help: "compare the contents of all files every `DURATION`", value: duration(&s.FullCheckInterval),
		},
	}
}

func loading(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "overlays", Env: "DEFENSECLAW_OVERLAYS", Key: "engine.overlays", value: overlays(&s.Overlays),
			Help: "let the top-level keys of `FILES`, named as data-site.json and separated by commas, replace those of data.json, as those of data-sandbox.json always do",
		},
		{
			Applies: AtOnce,
			Flag:    "removal-wait", Env: "DEFENSECLAW_REMOVAL_WAIT", Key: "engine.removal_wait", Default: "2s", value: duration(&s.RemovalWait),
			Help: "wait `DURATION` for a data file that served and is missing, and for a module at most half a second, before it counts as removed",
		},
		{
			Flag: "max-file-bytes", Env: "DEFENSECLAW_MAX_FILE_BYTES", Key: "engine.max_file_bytes", Default: "536870912",
			Help: "refuse a policy or data file larger than `N` bytes", value: positive(&s.MaxFileBytes, "a number of bytes"),
		},
		{
			Flag: "max-policy-memory", Env: "DEFENSECLAW_MAX_POLICY_MEMORY", Key: "engine.max_policy_memory", Default: "0",
			Help:  "refuse a directory that would take more than about `N` bytes of memory once it is loaded; 0: half of the memory",
			value: natural(&s.MaxPolicyMemory, "a number of bytes, or 0"),
		},
		{
			Flag: "max-files", Env: "DEFENSECLAW_MAX_FILES", Key: "engine.max_files", Default: "100000",
			Help: "refuse a directory with more than `N` policy and data files", value: positive(&s.MaxFiles, "a number"),
		},
		{
			Flag: "max-depth", Env: "DEFENSECLAW_MAX_DEPTH", Key: "engine.max_depth", Default: "64",
			Help: "refuse directories nested more than `N` deep", value: positive(&s.MaxDepth, "a number"),
		},
	}
}

func evaluating(s *Settings) []Setting {
	return []Setting{
		{
			Applies: AtOnce,
			Flag:    "decision-timeout", Env: "DEFENSECLAW_DECISION_TIMEOUT", Key: "engine.decision_timeout", Default: "1s",
			Help: "end a decision that takes longer than `DURATION`", value: duration(&s.DecisionTimeout),
		},
		{
			Flag: "max-decisions", Env: "DEFENSECLAW_MAX_DECISIONS", Key: "engine.max_decisions", Default: "0",
			Help:  "make at most `N` decisions at once, while others wait briefly; 0: four per processor, and at least eight",
			value: natural(&s.MaxDecisions, "a number, or 0"),
		},
		{
			Flag: "max-answer-bytes", Env: "DEFENSECLAW_MAX_ANSWER_BYTES", Key: "engine.max_answer_bytes", Default: "67108864",
			Help: "refuse an answer with more than `N` bytes of JSON", value: positive(&s.MaxAnswerBytes, "a number of bytes"),
		},
		{
			Flag: "programs", Env: "DEFENSECLAW_PROGRAMS", Key: "engine.programs", Default: "true",
			Help:  "compile the rules of paths that are asked for again and again to programs, which decide as OPA's evaluator does, and faster",
			value: boolean(&s.Programs),
		},
		{
			Flag: "max-decision-memory", Env: "DEFENSECLAW_MAX_DECISION_MEMORY", Key: "engine.max_decision_memory", Default: "268435456",
			Help: "let a program use `N` bytes of memory for one decision; OPA's evaluator makes a decision that needs more", value: positive(&s.MaxDecisionBytes, "a number of bytes"),
		},
		{
			Flag: "shadow", Env: "DEFENSECLAW_SHADOW", Key: "engine.shadow", Default: "0",
			Help:  "make this `SHARE` of the decisions of programs by OPA's evaluator as well, and report differences: 0.01 is one in a hundred, 1 is all",
			value: share(&s.Shadow),
		},
		{
			Flag: "strict-builtin-errors", Env: "DEFENSECLAW_STRICT_BUILTIN_ERRORS", Key: "engine.strict_builtin_errors", Default: "false",
			Help:  "make an error of a builtin an error of the decision on OPA's routes, too, where it otherwise makes what called it undefined",
			value: boolean(&s.StrictBuiltinErrors),
		},
		{
			Flag: "isolation", Env: "DEFENSECLAW_ISOLATION", Key: "engine.isolation", Default: "auto",
			Help:  "evaluate `WHAT` in processes of their own: off (nothing), queries (what callers write), process (decisions, too), or auto (queries on Linux, else off)",
			value: choice(&s.Isolation, "auto", "off", "queries", "process"),
		},
		{
			Flag: "worker-memory-bytes", Env: "DEFENSECLAW_WORKER_MEMORY_BYTES", Key: "engine.worker_memory_bytes", Default: "0",
			Help:  "aim at no more than `N` bytes of memory in such a process; 0: a quarter of the machine's or container's, and at least 256 MiB",
			value: natural(&s.WorkerBytes, "a number of bytes, or 0"),
		},
		{
			Key: "engine.worker_idle", Default: "5m", value: duration(&s.WorkerIdle),
			Help: "end the processes for queries when there was none for this long",
		},
		{
			Flag: "allow-outside-links", Env: "DEFENSECLAW_ALLOW_OUTSIDE_LINKS", Key: "engine.allow_outside_links", Default: "false",
			Help: "follow symbolic links that lead out of the policy directory", value: boolean(&s.OutsideLinks),
		},
		{
			Flag: "validate-only", Key: "engine.validate_only", Default: "false", value: boolean(&s.ValidateOnly),
			Help: "serve no decisions; POST /policy/reload only checks the directory",
		},
	}
}

func deciding(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "authzen-policy", Env: "DEFENSECLAW_AUTHZEN_POLICY", Key: "authzen.policy", Default: "authzen/allow",
			Help: "decide AuthZEN's evaluations by the document at `PATH`", value: document(&s.AuthZENPolicy),
		},
		{
			Flag: "ext-authz-addr", Env: "DEFENSECLAW_EXT_AUTHZ_ADDR", Key: "ext_authz.addr", value: address(&s.ExtAuthz.Addr),
			Help: "answer Envoy's ext_authz over gRPC on `ADDRESS`, HOST:PORT or unix:PATH",
		},
		{
			Flag: "ext-authz-path", Env: "DEFENSECLAW_EXT_AUTHZ_PATH", Key: "ext_authz.path", Default: "envoy/authz/allow",
			Help: "decide for Envoy by the document at `PATH`", value: document(&s.ExtAuthz.Policy),
		},
		{
			Flag: "ext-authz-dry-run", Env: "DEFENSECLAW_EXT_AUTHZ_DRY_RUN", Key: "ext_authz.dry_run", Default: "false",
			Help: "let every request of Envoy pass, and log those that would have been denied", value: boolean(&s.ExtAuthz.DryRun),
		},
	}
}

func guarding(s *Settings) []Setting {
	const told = "; clients of the original gateway read it in GET /v1/guardrail/config, and no decision depends on it: "
	return []Setting{
		{
			Applies: AtOnce,
			Key:     "guardrail.mode", Default: "observe", value: spelled(choice(&s.Guardrail.Mode, "observe", "action")),
			Help: "observe or action" + told + "each request says its own mode",
		},
		{
			Applies: AtOnce,
			Key:     "guardrail.scanner_mode", Default: "both", value: spelled(choice(&s.Guardrail.ScannerMode, "local", "remote", "both")),
			Help: "the scanners, local, remote or both" + told + "each request brings its results",
		},
		{
			Applies: AtOnce,
			Key:     "guardrail.block_message", value: text(&s.Guardrail.BlockMessage),
			Help: "what is shown where a text is blocked; empty: the client's own words" + told + "no answer of this sidecar holds it",
		},
		{
			Key: "guardrail.connector", value: text(&s.Guardrail.Connector),
			Help: "the name of the agent" + told + "this sidecar connects to none",
		},
		{
			Applies: AtOnce,
			Key:     "guardrail.hilt.enabled", Default: "false", value: boolean(&s.HILT.Enabled),
			Help: "have the guardrail ask a person (confirm) where it would only alert; it goes before guardrail.hilt of the policy's data",
		},
		{
			Applies: AtOnce,
			Key:     "guardrail.hilt.min_severity", Default: "HIGH", value: severity(&s.HILT.MinSeverity),
			Help: "ask a person from this severity up: LOW, MEDIUM, HIGH or CRITICAL",
		},
	}
}
