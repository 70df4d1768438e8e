package api

import (
	"time"

	"defenseclaw/api/audit"
	"defenseclaw/engine"
	"defenseclaw/engine/diagnostic"
	"defenseclaw/engine/review"
	"defenseclaw/engine/source"
)

// Diagnostic is one error of one file.
type Diagnostic struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Column  int      `json:"column"`
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Details []string `json:"details,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Text    string   `json:"text"`
}

// ReloadAnswer is the body of every answer of POST /policy/reload that is JSON.
type ReloadAnswer struct {
	Status      string       `json:"status,omitempty"` // reloaded, held or failed
	Error       string       `json:"error,omitempty"`
	PolicyDir   string       `json:"policy_dir,omitempty"`
	Generation  uint64       `json:"generation,omitempty"`
	Revision    string       `json:"revision,omitempty"`
	Changed     []string     `json:"changed,omitzero"`
	Added       []string     `json:"added_files,omitempty"`   // of those that changed: new
	Gone        []string     `json:"removed_files,omitempty"` // of those that changed: gone
	Removed     *Removed     `json:"removed,omitempty"`
	Findings    []Finding    `json:"findings,omitempty"`
	DurationMS  float64      `json:"duration_ms,omitempty"`
	Diagnostics []Diagnostic `json:"diagnostics,omitempty"`
	Warnings    []Diagnostic `json:"warnings,omitempty"`    // of the files that changed: what nothing uses in them
	Control     *Control     `json:"control,omitempty"`     // left out while the files are followed
	PolicyFrom  string       `json:"policy_from,omitempty"` // as in [StatusAnswer]
	PolicyWhy   string       `json:"policy_why,omitempty"`
}

// Removed is what files that are gone took with them.
type Removed struct {
	Files     []string          `json:"files"`
	Documents []RemovedDocument `json:"documents"` // that no longer answer
	More      int               `json:"more,omitempty"`
}

// RemovedDocument is one place under data.
type RemovedDocument struct {
	Path string `json:"path"`
	Used bool   `json:"used"` // by decisions, since the sidecar's start
}

// RemovedOf converts the engine's loss, which may be nil.
func RemovedOf(loss *engine.Loss) *Removed {
	if loss == nil {
		return nil
	}
	removed := &Removed{Files: list(loss.Files), Documents: []RemovedDocument{}, More: loss.More}
	for _, d := range loss.Documents {
		removed.Documents = append(removed.Documents, RemovedDocument(d))
	}
	return removed
}

// StatusAnswer is the body of GET /policy/status.
type StatusAnswer struct {
	PolicyDir  string      `json:"policy_dir"`
	RegoDir    string      `json:"rego_dir"`
	State      string      `json:"state"` // current, stale, restored, embedded or empty
	StateSince time.Time   `json:"state_since"`
	Generation uint64      `json:"generation"`
	Revision   string      `json:"revision"`
	LoadedAt   *time.Time  `json:"loaded_at"` // null when nothing serves
	Modules    int         `json:"modules"`
	DataFiles  int         `json:"data_files"`
	LastReload LastReload  `json:"last_reload"`
	Control    *Control    `json:"control,omitempty"` // left out when there is no directory to follow
	Source     *Source     `json:"source,omitempty"`  // left out for a directory
	Watch      Watch       `json:"watch"`
	NotLoaded  []NotLoaded `json:"not_loaded,omitempty"` // files that look like policy or data
	MoreOfThem int         `json:"not_loaded_more,omitempty"`
	LastGood   *LastGood   `json:"last_good,omitempty"` // left out when nothing is kept
	Process    Process     `json:"process"`
	// Settings is left out when config.yaml is not read again.
	Settings   *SettingsStatus `json:"settings,omitempty"`
	Audit      *audit.Health   `json:"audit,omitempty"`      // left out when nothing is recorded
	Judge      string          `json:"judge"`                // off, or the model that is asked
	PolicyFrom string          `json:"policy_from"`          // set, found in the data directory, or embedded
	PolicyWhy  string          `json:"policy_why,omitempty"` // for people
	// Decided says how, by path: the most asked for first, at most 100.
	Decided []Way `json:"decided,omitempty"`
	// Signature is left out where none is asked for.
	Signature *Signature `json:"signature,omitempty"`

	Findings []Finding `json:"findings,omitempty"` // what callers have lost
	// Review is left out before the first change, and for the moment that it takes to review one.
	Review *ReviewSummary `json:"review,omitempty"`
	// Reviewer is left out where no process evaluates changes at any time.
	Reviewer *ReviewerStatus `json:"reviewer,omitempty"`
	// Tests is left out where none ran.
	Tests *TestsStatus `json:"tests,omitempty"`
	// Recordings is left out when decisions are not recorded.
	Recordings *Recordings `json:"recordings,omitempty"`
	Warnings   []string    `json:"warnings,omitempty"` // about what the policy does not read, the settings overrule, or nothing uses
	Parts
}

// Finding is what an operator should know of a policy that serves, or would.
type Finding struct {
	Level   string `json:"level"` // warn, hold or deny
	Code    string `json:"code"`  // such as gone: decisions have used a document that nothing defines any more
	Path    string `json:"path"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Row     int    `json:"row,omitempty"`
}

// FindingsOf converts documents that are gone; nil is none.
func FindingsOf(lost []engine.LostDocument) []Finding {
	return FoundOf(review.Findings(lost))
}

// FoundOf converts findings; nil is none.
func FoundOf(all []review.Finding) []Finding {
	if len(all) == 0 {
		return nil
	}
	return convert(all, func(f review.Finding) Finding {
		return Finding{Level: string(f.Level), Code: f.Code, Path: f.Path, Message: f.Message, File: f.File, Row: f.Row}
	})
}

// findingsOf is of a loss, which may be nil.
func findingsOf(loss *engine.Loss) []Finding {
	if loss == nil {
		return nil
	}
	return FindingsOf(loss.Documents)
}

// PolicyChoice says how the policy directory was chosen.
type PolicyChoice struct {
	From string // set, found in the data directory, or embedded
	Why  string // for people
}

// NotLoaded is a file of the policy directory that is not loaded, although it looks like policy or data.
type NotLoaded struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// NotLoadedOf converts what the engine ignores. It is nil if that is nothing.
func NotLoadedOf(ignored source.Ignored) []NotLoaded {
	var files []NotLoaded
	for _, f := range ignored.Files {
		files = append(files, NotLoaded{File: f.Path, Reason: f.Reason})
	}
	return files
}

// SettingsStatus says how the newest config.yaml was taken.
type SettingsStatus struct {
	File         string    `json:"file"`
	State        string    `json:"state"` // in-force, restart-needed or refused
	Since        time.Time `json:"since"`
	Error        string    `json:"error"`         // why it was refused; the settings before it are in force
	AfterRestart []string  `json:"after_restart"` // keys that changed and take effect after a restart
	Applied      uint64    `json:"applied"`       // changed files that were taken since the start
	Refused      uint64    `json:"refused"`       // the same, that were refused
}

// The states of [SettingsStatus].
const (
	SettingsCurrent       = "in-force"
	SettingsRestartNeeded = "restart-needed"
	SettingsRefused       = "refused"
)

// Process is the sidecar itself.
type Process struct {
	PID       int       `json:"pid"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Directory string    `json:"directory,omitempty"` // its working directory, which policy_dir may be relative to
}

// LastGood is the policy kept on disk for a start with a broken directory.
type LastGood struct {
	File       string     `json:"file"`             // the newest, in the data directory; empty before the first
	Generation uint64     `json:"saved_generation"` // the number of the generation it was saved for
	Seq        uint64     `json:"saved_seq"`        // its number in the history
	SavedAt    *time.Time `json:"saved_at"`
	Pending    bool       `json:"pending"` // a newer one waits to be saved
	Error      string     `json:"error"`   // why the last save failed; empty if it succeeded
}

// LastReload is how the newest attempt went.
type LastReload struct {
	Status      string       `json:"status"`  // success, failed, unchanged or held; empty before the first
	Trigger     string       `json:"trigger"` // startup, watch, poll, api, signal or control
	Actor       string       `json:"actor"`   // who caused it, the best that is known
	StartedAt   *time.Time   `json:"started_at"`
	DurationMS  float64      `json:"duration_ms"`
	Changed     []string     `json:"changed"`                 // all that were added, altered or removed
	Added       []string     `json:"added_files,omitempty"`   // of those
	Gone        []string     `json:"removed_files,omitempty"` // of those
	Error       string       `json:"error"`
	Stage       string       `json:"stage,omitempty"` // at which it failed: read, signature, parse, compile, check, review, deadline or panic
	Diagnostics []Diagnostic `json:"diagnostics"`
}

// Watch is the health of the watch.
type Watch struct {
	Enabled       bool       `json:"enabled"`
	Mode          string     `json:"mode"`  // notify or poll
	State         string     `json:"state"` // off, starting, watching, root-missing or stopped
	Reason        string     `json:"reason"`
	Directories   int        `json:"directories"`
	EventsDropped uint64     `json:"events_dropped"`
	Events        uint64     `json:"events"`
	LastScan      *time.Time `json:"last_scan,omitempty"`
	NextPoll      *time.Time `json:"next_poll,omitempty"`
}

// Diagnostics converts the engine's diagnostics. The result is never nil.
func Diagnostics(ds diagnostic.List) []Diagnostic {
	out := make([]Diagnostic, 0, len(ds))
	for _, d := range ds {
		out = append(out, Diagnostic(d))
	}
	return out
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

// OptionalTime returns nil for the zero time, so that answers do not show the year 1.
func OptionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Source is where policy comes from if not from a directory.
type Source struct {
	URL     string                  `json:"url"`
	Bundles map[string]SourceBundle `json:"bundles"`
	// AgeSeconds is how long ago the request was sent that the source answered last, of several bundles the longest; null: one
	// has not been answered since the start.
	AgeSeconds *float64     `json:"age_seconds"`
	Stale      *SourceStale `json:"stale,omitempty"` // with source.stale

	Channel *SourceChannel `json:"channel,omitempty"` // left out where bundles are followed
}

// SourceStale is what is done about a source that does not answer.
type SourceStale struct {
	AfterSeconds float64 `json:"after_seconds"`
	Action       string  `json:"action"` // serve, unready or refuse
	Now          bool    `json:"now"`    // it has not answered for so long, or not since the start
}

// SourceChannel is how it goes with a channel of a fleet.
type SourceChannel struct {
	Agent        string            `json:"agent"` // the name of this sidecar in it
	Labels       map[string]string `json:"labels"`
	Connected    bool              `json:"connected"`
	Server       string            `json:"server,omitempty"` // that it is connected to
	Epoch        uint64            `json:"epoch"`            // of the newest record; 0: none came since the start
	Floor        uint64            `json:"floor"`            // records of lower epochs are replays
	Wanted       string            `json:"wanted"`           // the revision that the record asks for
	Serves       string            `json:"serves"`           // the revision that serves
	State        string            `json:"state"`            // applied, ready, refused or waiting
	Code         string            `json:"code,omitempty"`
	Error        string            `json:"error,omitempty"`
	Kept         bool              `json:"kept"` // what serves is on disk
	Keys         []string          `json:"keys"` // that are trusted
	Signers      []string          `json:"signers,omitempty"`
	By           string            `json:"by,omitempty"`
	Message      string            `json:"message,omitempty"`
	Acknowledged *time.Time        `json:"acknowledged,omitempty"` // when the channel took an acknowledgement last
}

// SourceBundle is how it goes with one bundle of a source.
type SourceBundle struct {
	Revision string `json:"revision"` // of the newest version that was taken, as its manifest calls it
	ETag     string `json:"etag"`     // of the newest version that was sent
	Fetched  uint64 `json:"fetched"`  // versions that were sent since the start
	Bytes    uint64 `json:"bytes"`
	Error    string `json:"error,omitempty"`   // why the last request was not answered
	Refused  string `json:"refused,omitempty"` // why the newest version was not taken
	// ContactSeconds is how long ago the last request was sent that was answered; null: none was since the start.
	ContactSeconds *float64 `json:"contact_seconds"`
}
