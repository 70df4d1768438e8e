package settings

func logging(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "log-format", Env: "DEFENSECLAW_LOG_FORMAT", Key: "log.format", Default: "auto",
			Help:  "log in `FORMAT`: console, json, or auto for console on a terminal and json elsewhere",
			value: choice(&s.LogFormat, "auto", "console", "json"),
		},
		{
			Applies: AtOnce,
			Flag:    "log-level", Env: "DEFENSECLAW_LOG_LEVEL", Key: "log.level", Default: "info",
			Help: "log from `LEVEL` up: debug, info, warn or error", value: choice(&s.LogLevel, "debug", "info", "warn", "error"),
		},
	}
}
func decisionLog(d *DecisionLog) []Setting {
	return []Setting{
		{
			Flag: "decision-log", Env: "DEFENSECLAW_DECISION_LOG", Key: "decision_logs.console", Default: "false", value: boolean(&d.Console),
			Help: "write each decision to standard output, one line each, in the format of OPA's decision log",
		},
		{
			Flag: "decision-log-file", Env: "DEFENSECLAW_DECISION_LOG_FILE", Key: "decision_logs.file", value: path(&d.File),
			Help: "write each decision to `FILE`, which is rotated when it grows large",
		},
		{
			Flag: "decision-log-url", Env: "DEFENSECLAW_DECISION_LOG_URL", Key: "decision_logs.url", value: text(&d.URL),
			Help: "upload each decision to the service at `URL`, which speaks OPA's decision log API: to /logs below it",
		},
		{
			Key: "decision_logs.file_max_megabytes", Default: "100", value: positive(&d.FileMegabytes, "a number"),
			Help: "rotate the file above this many MB",
		},
		{
			Key: "decision_logs.file_backups", Default: "5", value: positive(&d.FileBackups, "a number"),
			Help: "number of rotated files to keep",
		},
		{
			Key: "decision_logs.token_env", Default: "DEFENSECLAW_DECISION_LOG_TOKEN", value: variable(&d.Token),
			Help: "environment variable with the bearer token for the service",
		},
		{
			Key: "decision_logs.partition", value: text(&d.Partition),
			Help: "upload to /logs/PARTITION instead of /logs",
		},
		{
			Key: "decision_logs.min_delay", Default: "1s", value: duration(&d.MinDelay),
			Help: "minimum time between uploads, unless a full one is ready",
		},
		{
			Key: "decision_logs.max_delay", Default: "10s", value: duration(&d.MaxDelay),
			Help: "maximum time between uploads, also after failures",
		},
		{
			Key: "decision_logs.upload_size_limit_bytes", Default: "32768", value: positive(&d.UploadBytes, "a number of bytes"),
			Help: "maximum size of an upload, compressed",
		},
		{
			Key: "decision_logs.buffer_size_limit_bytes", Default: "10485760", value: positive(&d.BufferBytes, "a number of bytes"),
			Help: "maximum size of the events that wait for upload, and roughly of the decisions that wait to become events",
		},
		{
			Key: "decision_logs.mask_decision", Default: "system/log/mask", value: document(&d.Mask),
			Help: "path of the document that says what to mask",
		},
		{
			Key: "decision_logs.drop_decision", Default: "system/log/drop", value: document(&d.Drop),
			Help: "path of the document that says which events to drop",
		},
	}
}

func decisionLogSecrets(d *DecisionLog) []Setting {
	return []Setting{
		{
			Key: "decision_logs.envoy_headers", value: list(&d.EnvoyHeaders),
			Help: "headers of Envoy's requests that are logged, instead of those in docs/reference/decision-log.md; x-* is all that begin with x-, and * is all",
		},
		{
			Key: "decision_logs.envoy_bodies", Default: "false", value: boolean(&d.EnvoyBodies),
			Help: "log the bodies of Envoy's requests",
		},
		{
			Key: "decision_logs.secret_names", value: list(&d.SecretNames),
			Help: "more names whose values are not logged, for example ssn: of every field that contains one",
		},
		{
			Key: "decision_logs.plain_names", value: list(&d.PlainNames),
			Help: "names whose values are logged, although they look like names of secrets, for example next_token",
		},
	}
}

func recording(r *Record) []Setting {
	return []Setting{
		{
			Key: "record.enabled", Default: "true", value: boolean(&r.Enabled),
			Help: "keep few of the decisions that are made, which stand for all, to try changes of the policy on them",
		},
		{
			Key: "record.max_bytes", Default: "16777216", value: positive(&r.Bytes, "a number of bytes"),
			Help: "maximum size of the recorded decisions in memory; at most 10,000 are kept",
		},
		{
			Flag: "record", Env: "DEFENSECLAW_RECORD", Key: "record.dir", value: path(&r.Dir),
			Help: "also keep the recorded decisions in `DIR`, over restarts; without it they are in memory only",
		},
		{
			Key: "record.paths", value: list(&r.Paths),
			Help: "record decisions about the documents at these paths and below them only, such as defenseclaw/admission; none: about all",
		},
		{
			Key: "record.key_env", value: keyVariable(r),
			Help: "environment variable with the key by which the file in record.dir is encrypted: 32 bytes, as 64 hexadecimal digits or in base64",
		},
	}
}

func keeping(s *Settings) []Setting {
	return []Setting{
		{
			Key: "audit.max_age", Default: "2160h", value: duration(&s.AuditAge),
			Help: "remove audit records older than this",
		},
		{
			Key: "audit.max_bytes", Default: "268435456", value: positive(&s.AuditBytes, "a number of bytes"),
			Help: "remove the oldest audit records while all of them take more bytes",
		},
		{
			Key: "history.keep", Default: "20", value: positive(&s.HistoryKeep, "a number of policies"),
			Help: "keep this many of the policies that served",
		},
		{
			Key: "history.max_bytes", Default: "1073741824", value: positive(&s.HistoryBytes, "a number of bytes"),
			Help: "remove policies that served while all of them take more bytes",
		},
	}
}

func judging(j *Judge) []Setting {
	return []Setting{
		{
			Applies: AtOnce,
			Key:     "judge.base_url", value: text(&j.BaseURL),
			Help: "URL of the OpenAI-compatible endpoint, up to /chat/completions; setting it turns the judge on",
		},
		{Applies: AtOnce, Key: "judge.model", value: text(&j.Model), Help: "model to ask"},
		{
			Applies: AtOnce,
			Key:     "judge.api_key_env", Default: "DEFENSECLAW_LLM_KEY", value: variable(&j.APIKey),
			Help: "environment variable with the endpoint's API key",
		},
		{
			Applies: AtOnce,
			Key:     "judge.fail_mode", Default: "closed", value: text(&j.FailMode),
			Help: "what to answer for a text that could not be judged: closed blocks it, open allows it unless no request could be sent",
		},
		{
			Applies: AtOnce,
			Key:     "judge.kinds", Default: "injection, exfil, pii", value: list(&j.Kinds),
			Help: "kinds of finding to ask for",
		},
		{
			Applies: AtOnce,
			Key:     "judge.timeout", Default: "30s", value: duration(&j.Timeout),
			Help: "maximum time for a request with its retries, and before that for the wait until it may be sent",
		},
		{
			Applies: AtOnce,
			Key:     "judge.max_retries", Default: "2", value: integer(&j.MaxRetries),
			Help: "number of times to retry a failed request; -1: never",
		},
		{
			Key: "judge.max_concurrent", Default: "16", value: positive(&j.MaxConcurrent, "a number"),
			Help: "maximum number of requests in flight",
		},
		{
			Applies: AtOnce,
			Key:     "judge.max_content_bytes", Default: "131072", value: positive(&j.MaxContentBytes, "a number of bytes"),
			Help: "refuse texts longer than this many bytes",
		},
		{
			Applies: AtOnce,
			Key:     "judge.max_answer_tokens", Default: "1024", value: positive(&j.MaxAnswerTokens, "a number"),
			Help: "maximum number of tokens in an answer of the model",
		},
		{
			Key: "judge.cache_ttl", Default: "30s", value: duration(&j.CacheTTL),
			Help: "keep a verdict for this long",
		},
		{
			Applies: AtOnce,
			Key:     "judge.cache_entries", Default: "4096", value: positive(&j.CacheEntries, "a number"),
			Help: "maximum number of verdicts to keep",
		},
	}
}
