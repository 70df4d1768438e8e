package settings

import (
	"fmt"
	"time"
)

// What is done while a source is stale.
const (
	StaleServe   = "serve"
	StaleUnready = "unready"
	StaleRefuse  = "refuse"
)

// Stale says for how long a source may be out of contact, and what follows.
type Stale struct {
	After  time.Duration // 0: for ever
	Action string        // StaleServe, StaleUnready or StaleRefuse
}

// staling are the settings of a source that does not answer.
func staling(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "source-stale", Env: "DEFENSECLAW_SOURCE_STALE", Key: "source.stale", Default: "0s", value: delay(&s.Source.Stale.After),
			Help: "call the source stale once it has not answered for `DURATION`, by a clock that nobody sets; it is asked at least twice as often, whatever --source-poll says; 0: never",
		},
		{
			Flag: "stale-action", Env: "DEFENSECLAW_STALE_ACTION", Key: "source.stale_action", Default: StaleServe,
			Help:  "while the source is stale, do `WHAT`: serve (decide, and say so in log, event and metric), unready (and fail GET /health/ready), or refuse (and answer no decision)",
			value: choice(&s.Source.Stale.Action, StaleServe, StaleUnready, StaleRefuse),
		},
	}
}

// checkStale has the source be asked often enough to be known not to be stale.
func (s *Settings) checkStale() error {
	stale := s.Source.Stale
	switch {
	case stale.After == 0 && stale.Action != StaleServe:
		return fmt.Errorf("source.stale_action is %s, and source.stale does not say when a source is stale: --source-stale was expected", stale.Action)
	case stale.After == 0:
		return nil
	case s.Source.URL == "":
		return fmt.Errorf("source.stale is %s, and policy comes from no source but from here: --source with a URL was expected", stale.After)
	}
	s.Source.Poll = min(s.Source.Poll, stale.After/2)
	return nil
}
