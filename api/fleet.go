package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"defenseclaw/api/internal/decision"
)

// errNotObserved is the answer where no channel is observed.
var errNotObserved = &decision.HTTPError{Status: http.StatusServiceUnavailable, Message: "no channel is observed: source.observe and source.observe_url are not set"}

// Bounds of an answer.
const (
	defaultAgents, maxAgents = 50, 500
	maxAgentName             = 200 // bytes of a part of a name that is looked for
)

// FleetStates are what [FleetQuery].State may be.
func FleetStates() []string {
	return []string{"serves", "ready", "refused", "waiting", "behind", "lost", "gone", "ahead", "silent", "stale"}
}

// FleetQuery says which agents [Client.Fleet] asks for. The zero value asks for the first page of all.
type FleetQuery struct {
	Q        string // a part of the agent's name, in upper or lower case
	State    string // one of [FleetStates]
	Revision string // that the agent serves, or the beginning of it; "none": nothing
	After    string // the agent behind which the page begins: [FleetAnswer].Next
	Limit    int    // agents on a page; 0: 50
}

func fleetQuery(query url.Values) (q FleetQuery, err error) {
	q = FleetQuery{Q: query.Get("q"), State: query.Get("state"), Revision: query.Get("revision"), After: query.Get("after")}
	for name, text := range map[string]string{"q": q.Q, "revision": q.Revision, "after": q.After} {
		if len(text) > maxAgentName {
			return q, decision.BadRequest("%s has %d bytes: %d are looked for at most", name, len(text), maxAgentName)
		}
	}
	if q.State != "" && !slices.Contains(FleetStates(), q.State) {
		return q, decision.BadRequest("state is %q: one of %s was expected", q.State[:min(len(q.State), maxAgentName)], strings.Join(FleetStates(), ", "))
	}
	q.Limit, err = countOf(query, "limit", defaultAgents, maxAgents)
	return q, err
}

// Values are the parameters of the request.
func (q FleetQuery) Values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"q": q.Q, "state": q.State, "revision": q.Revision, "after": q.After} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// fleet is GET /policy/fleet.
func (s *Server) fleet(w http.ResponseWriter, r *http.Request) error {
	q, err := fleetQuery(r.URL.Query())
	if err != nil {
		return err
	}
	if s.cfg.Fleet == nil {
		return errNotObserved
	}
	answer, err := s.cfg.Fleet(r.Context(), q)
	if errors.Is(err, context.Canceled) {
		return nil // nobody reads the answer
	}
	if err != nil {
		return err
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// Fleet asks who follows the channel that the sidecar observes, and how far they are.
func (c *Client) Fleet(ctx context.Context, q FleetQuery) (answer FleetAnswer, err error) {
	return answer, c.get(ctx, "/policy/fleet?"+q.Values().Encode(), &answer)
}

// FleetAnswer is the body of GET /policy/fleet. Times of agents are by the broker's clock. Lists of agents' names have few of them, and the number of all.
type FleetAnswer struct {
	URL       string       `json:"url"` // of the servers and the channel
	Channel   string       `json:"channel"`
	Domain    string       `json:"domain,omitempty"`  // of JetStream; left out: the servers' own
	SeenAt    *time.Time   `json:"seen_at"`           // when the broker was asked for what is told here; null: it has not answered
	Error     string       `json:"error,omitempty"`   // why nothing newer is known
	Record    *FleetRecord `json:"record,omitempty"`  // what the channel asks for
	Problem   string       `json:"problem,omitempty"` // why there is no record, or why it is not trusted
	Converged bool         `json:"converged"`         // all agents serve what the record asks of them

	Agents   int            `json:"agents"`
	States   map[string]int `json:"states"`   // how many agents have come how far
	Serve    []FleetCount   `json:"serve"`    // what they serve, the most frequent first, at most 20
	Refusals []FleetRefusal `json:"refusals"` // by reason, the most frequent first, at most 20
	Silent   FleetNames     `json:"silent"`   // not heard of for too long, whatever they had acknowledged
	Oldest   *FleetContact  `json:"oldest,omitempty"`
	Ahead    FleetNames     `json:"ahead"`    // they have seen a newer record than the broker has
	Flapping FleetNames     `json:"flapping"` // two agents with one name
	Unkept   FleetNames     `json:"unkept"`   // what they serve is not on their disk
	Invalid  int            `json:"invalid_acks"`
	More     int            `json:"more_agents"` // agents that are not looked at, since there are too many

	MoreServe    int `json:"more_serve,omitempty"`    // revisions beyond those in Serve
	MoreRefusals int `json:"more_refusals,omitempty"` // reasons beyond those in Refusals

	Rollout *FleetRollout `json:"rollout,omitempty"` // left out where none runs and none was taken back
	Hour    FleetHour     `json:"hour"`

	Matching int          `json:"matching"` // agents that the request asks for, on all pages
	List     []FleetAgent `json:"list"`     // those of this page, by name
	Next     string       `json:"next,omitempty"`
}

// FleetNames are some of the agents of which something is so.
type FleetNames struct {
	Agents int      `json:"agents"` // of which it is so
	Names  []string `json:"names"`  // of the first five
}

// FleetRecord is what the channel says.
type FleetRecord struct {
	Epoch   uint64     `json:"epoch"`
	State   string     `json:"state"`  // prepare or active
	Target  string     `json:"target"` // the revision
	Base    string     `json:"base"`   // what the agents outside of the cohort serve; empty: there are none
	Files   int        `json:"files"`  // of the target
	Cohort  string     `json:"cohort"` // who serves the target
	Time    time.Time  `json:"time"`
	Expires *time.Time `json:"expires,omitempty"`
	By      string     `json:"by"`
	Message string     `json:"message,omitempty"`
	Signers []string   `json:"signers"`
}

// FleetCount is how many agents serve a revision.
type FleetCount struct {
	Revision string `json:"revision"` // empty: nothing
	Agents   int    `json:"agents"`
}

// FleetRefusal is a reason, and who has it.
type FleetRefusal struct {
	Code  string `json:"code"`
	Error string `json:"error"`
	FleetNames
}

// FleetContact is when an agent was heard of last.
type FleetContact struct {
	Agent         string    `json:"agent"`
	Heard         time.Time `json:"heard"`
	SilentSeconds float64   `json:"silent_s"`
}

// FleetRollout is how a rollout goes.
type FleetRollout struct {
	Running bool         `json:"running"`
	Paused  bool         `json:"paused"`
	Halted  string       `json:"halted,omitempty"` // where and why it was taken back
	Step    string       `json:"step"`             // what is to be done now: nothing, wait, paused, inconclusive, go on or take back
	Stage   string       `json:"stage,omitempty"`
	Reason  string       `json:"reason"`
	Stages  []FleetStage `json:"stages"`
	Gates   []FleetGate  `json:"gates"` // of the stage; none while no rollout runs

	Cohort     int        `json:"cohort"` // agents that count in the stage
	Done       int        `json:"done"`
	Behind     FleetNames `json:"behind"`
	Lost       FleetNames `json:"lost"`
	LostBefore FleetNames `json:"lost_before"` // before the stage: they do not count

	Controller     string     `json:"controller,omitempty"`
	ControllerSeen *time.Time `json:"controller_seen,omitempty"`
	ControllerAway bool       `json:"controller_away"` // nobody moves the rollout on
}

// FleetStage is how far a rollout has come with a stage.
type FleetStage struct {
	Stage       string     `json:"stage"`
	State       string     `json:"state"` // done, now, next, halted or never
	SoakSeconds float64    `json:"soak_s"`
	Since       *time.Time `json:"since,omitempty"` // of the stage that is now
	Until       *time.Time `json:"until,omitempty"` // until then it has to go well
}

// FleetGate is one of what a stage has to pass.
type FleetGate struct {
	Gate  string `json:"gate"`
	State string `json:"state"` // passed, open or failed
	Text  string `json:"text"`
}

// FleetHour is what agents served in each minute of the last hour, as far as somebody observed.
type FleetHour struct {
	Revisions []string      `json:"revisions"` // the most frequent first, at most 8; empty: nothing
	Minutes   []FleetMinute `json:"minutes"`   // the oldest first
}

// FleetMinute is what agents served at the end of a minute; the newest is what they serve now.
type FleetMinute struct {
	Until  time.Time `json:"until"`
	Known  bool      `json:"known"`  // the broker answered
	Agents []int     `json:"agents"` // of each of the revisions, without agents that are silent
	Others int       `json:"others"` // that serve other revisions
	Silent int       `json:"silent"` // not heard of for too long
}

// FleetAgent is what an agent said last, and how far that is.
type FleetAgent struct {
	Agent         string            `json:"agent"`
	Labels        map[string]string `json:"labels"`
	Standing      string            `json:"standing"` // one of [FleetStates] but silent and stale
	InCohort      bool              `json:"in_cohort"`
	Epoch         uint64            `json:"epoch"`  // of the newest record that it has seen
	Serves        string            `json:"serves"` // a revision; empty: nothing
	Wants         string            `json:"wants"`  // the revision that the record asks of it
	State         string            `json:"state"`  // applied, ready, refused or waiting
	Code          string            `json:"code,omitempty"`
	Error         string            `json:"error,omitempty"`
	Kept          bool              `json:"kept"` // what it serves is on its disk
	Version       string            `json:"version"`
	Since         time.Time         `json:"since"` // when State began, by its clock
	Heard         time.Time         `json:"heard"`
	SilentSeconds float64           `json:"silent_s"`
	Flapping      bool              `json:"flapping,omitempty"`
	Decisions     uint64            `json:"decisions"` // since it serves what it serves
	Errors        uint64            `json:"errors"`
	Denied        uint64            `json:"denied"`
	P99MS         float64           `json:"p99_ms"`
}
