// Package settings resolves what an operator can choose, finds the gateway token, and says where
// the running sidecar answers. Each setting is one row in table.go: the flags, the environment
// variables, the keys of config.yaml, the help and docs/reference/configuration.md are made from that row.
//
// Every command imports this package, so it imports neither engine nor api: values that those parse
// further, such as the path of a document, are checked here and kept as text.
package settings

import "time"

// Settings are the resolved choices. [Resolve] returns them checked.
type Settings struct {
	PolicyDir  string // empty: the embedded default pack
	PolicyFrom PolicyFrom
	PolicyWhy  string // why PolicyDir was chosen, for people
	DataDir    string
	Source     Source

	APIBind     string
	APIPort     int    // 0: a free one
	APISocket   string // empty: TCP
	AddrChosen  bool   // APIBind or APIPort is not the default, so gateway.json is not consulted
	AnyListener bool   // commands ask for no proof that the sidecar listens
	LocalSocket bool   // also listen on the socket in the data directory
	Console     bool   // see [Settings.ServesConsole]
	TLSCert     string // empty: plain HTTP
	TLSKey      string
	ClientCA    string // empty: callers need no certificate
	ClientCert  string // presented by commands; may be empty
	ClientKey   string
	RateLimit   int // requests per second and remote address

	Insecure        bool     // beyond loopback without TLS
	AllowedHosts    []string // names by which browsers may call
	RateLimitChosen bool     // RateLimit is not the default

	MaxConnections int // open at once; 0: by the limit of open files
	MaxPerAddress  int // of them from one remote address; 0: three quarters

	ShutdownDelay time.Duration // serve for this long after the signal to stop, without being ready

	Watch             bool
	WatchMode         string // auto, notify or poll
	Debounce          time.Duration
	PollInterval      time.Duration // between scans while polling
	SafetyInterval    time.Duration // between scans in addition to events
	FullCheckInterval time.Duration // between comparisons of contents

	Overlays        []string      // names of files whose top-level keys replace those of data.json, besides data-sandbox.json
	RemovalWait     time.Duration // for data files that served and are missing; modules at most half a second
	MaxFileBytes    int64
	MaxPolicyMemory int64 // 0: half of the memory
	MaxFiles        int
	MaxDepth        int
	DecisionTimeout time.Duration
	MaxDecisions    int // evaluated at once; 0: by the number of processors

	MaxAnswerBytes int

	Programs         bool    // decide by compiled programs where they are OPA's evaluator's equal
	MaxDecisionBytes int64   // that a program may use for one decision
	Shadow           float64 // the share of the decisions of programs that is made twice

	Isolation           string        // auto, off, queries or process
	WorkerBytes         int64         // memory of a worker process; 0: by the machine's
	WorkerIdle          time.Duration // a worker process that evaluated nothing for this long is ended
	StrictBuiltinErrors bool          // on OPA's routes, too
	OutsideLinks        bool          // follow links out of the policy directory
	ValidateOnly        bool

	AuthZENPolicy string // path of the document that decides AuthZEN's evaluations
	ExtAuthz      ExtAuthz
	Decisions     DecisionLog
	Access        AccessLog
	Record        Record
	Judge         Judge
	HILT          HILT
	NotHonored    []string // keys of the original gateway that are set and not obeyed, each with the reason
	Guardrail     Guardrail
	Signature     Signature

	SafetyMode       string        // off, report, enforce or hold
	SafetyHold       string        // findings or always
	SafetyBudget     time.Duration // of a review before the swap
	SafetyTests      time.Duration // processor time of the tests of a review
	SafetyIncomplete string        // mode, admit, refuse or hold
	SafetyReviewer   string        // auto or off
	ReviewerBytes    int64         // memory of the reviewer; 0: by the machine's
	SafetyGuardsDir  string        // with guards of its own; empty: there is none
	SafetyConfirm    time.Duration // within which every change has to be confirmed; 0: none has to be
	MaxStale         time.Duration // for how long decisions are made while the files are broken; 0: for ever

	AuditAge     time.Duration // audit records are kept this long
	AuditBytes   int64         // and may take this many bytes
	HistoryKeep  int           // policies that served are kept, this many
	HistoryBytes int64         // and may take this many bytes
	ConfigReload string        // hot or restart
	LogFormat    string        // auto, console or json
	LogLevel     string        // debug, info, warn or error

	OtherVariables []string // that begin as this program's do and are another's; NAME* is all that begin with NAME

	consoleSetBy string // the flag, variable or key that sets Console; empty: none does
	policySource string // the flag, variable or key that sets PolicyDir; empty: none does

	originalJudge originalJudge

	TokenEnv    string // gateway.token_env, the name of a variable; may be empty
	namedToken  string // what that variable holds, in the environment or in .env
	namedInFile bool   // in .env
	givenToken  string // DEFENSECLAW_GATEWAY_TOKEN in the environment
	legacyToken string // the variable of older installations, in the environment
	configToken string // gateway.token

	credentials string // the directory of a service manager's credentials; empty: there is none
}

// ExtAuthz are the settings of Envoy's external authorization.
type ExtAuthz struct {
	Addr   string // HOST:PORT or unix:PATH; empty: it is off
	Policy string // path of the document that decides
	DryRun bool
}

// HILT ("human in the loop") are the settings of the guardrail's question to a person.
type HILT struct {
	Enabled     bool
	MinSeverity string // LOW, MEDIUM, HIGH or CRITICAL
}

// Guardrail are settings that clients of the original gateway read. No decision depends on them.
type Guardrail struct {
	Mode         string // observe or action
	ScannerMode  string // local, remote or both
	BlockMessage string
	Connector    string
}

// DecisionLog are the settings of the decision log. It is off unless Console, File or URL is set.
type DecisionLog struct {
	Console       bool // to standard output
	File          string
	FileMegabytes int // rotate the file above this size
	FileBackups   int // rotated files to keep
	URL           string
	Partition     string
	Token         string // for the service at URL
	MinDelay      time.Duration
	MaxDelay      time.Duration
	UploadBytes   int
	BufferBytes   int
	Mask          string // path of the document that says what to mask
	Drop          string // path of the document that says which events to drop
	EnvoyHeaders  []string
	EnvoyBodies   bool
	SecretNames   []string // more names whose values are erased
	PlainNames    []string // names whose values are not erased
}

// Record are the settings of the recorder of decisions.
type Record struct {
	Enabled bool
	Bytes   int64    // of records, at most
	Dir     string   // empty: they are in memory only
	Paths   []string // documents; none: all are recorded
	KeyEnv  string   // the variable that Key was read from; empty: the file is not encrypted
	Key     string
}

// Judge are the settings of the judge. It is off unless BaseURL is set; package judge checks the
// values that only it can judge.
type Judge struct {
	BaseURL         string
	Model           string
	APIKey          string
	FailMode        string
	Kinds           []string
	Timeout         time.Duration
	MaxRetries      int // negative or 0: none
	MaxConcurrent   int
	MaxContentBytes int
	MaxAnswerTokens int
	CacheTTL        time.Duration
	CacheEntries    int
}
