package decisionlog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"sync"

	"defenseclaw/engine"
	"defenseclaw/engine/review/records"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Cleaner takes out of recorded decisions what a decision log of the same settings would not show. Safe for concurrent use.
type Cleaner struct {
	optOut engine.Path

	mu  sync.Mutex
	log *Log // never run: it has the settings, and what is known of the policies of the last generation
	own policies
}

// NewCleaner makes a cleaner for a log of these settings, of which it needs those about what is shown. optOut is a
// document that says, as the drop policy does, which decisions must not be recorded although the log shows them.
func NewCleaner(cfg Config, optOut engine.Path) *Cleaner {
	cfg.setPolicies()
	return &Cleaner{optOut: optOut, log: &Log{
		cfg: cfg, labels: map[string]string{}, names: newNames(cfg.SecretNames, cfg.PlainNames), envoy: newEnvoy(cfg.EnvoyHeaders, cfg.EnvoyBodies),
	}}
}

// setPolicies sets the defaults of the policies.
func (c *Config) setPolicies() {
	if c.Mask == nil {
		c.Mask = engine.Path{"system", "log", "mask"}
	}
	if c.Drop == nil {
		c.Drop = engine.Path{"system", "log", "drop"}
	}
}

// Asks reports whether the generation could define a policy that [Cleaner.Clean] asks.
func (c *Cleaner) Asks(g *engine.Generation) bool {
	return g.CouldDefine(c.log.cfg.Mask) || g.CouldDefine(c.log.cfg.Drop) || g.CouldDefine(c.optOut)
}

// Clean returns the record as the policies of the generation and the settings show it, marked as masked if something is
// gone. If reason is not empty, it must not be kept: [DroppedPolicy] without an error, else with one.
func (c *Cleaner) Clean(ctx context.Context, g *engine.Generation, r records.Record) (_ records.Record, reason string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	input, err := parsed(r.Input)
	if err != nil {
		return r, DroppedEncoding, err
	}
	result, err := parsed(r.Result)
	if err != nil {
		return r, DroppedEncoding, err
	}
	e := &event{
		Labels: c.log.labels, DecisionID: r.DecisionID, Path: r.Path, Timestamp: r.Time, Bundles: map[string]bundle{"defenseclaw": {r.Revision}},
	}
	if r.Error != "" {
		e.Error = map[string]any{"message": r.Error}
	}
	see := func() (ast.Value, error) { return e.value(input, result) }
	if reason, err := c.optedOut(ctx, g, see); reason != "" {
		return r, reason, err
	}
	masks, reason, err := c.log.applyPolicies(ctx, g, see)
	if reason != "" {
		return r, reason, err
	}
	if e.Input, err = tree(input); err != nil {
		return r, DroppedEncoding, err
	}
	if e.Result, err = tree(result); err != nil {
		return r, DroppedEncoding, err
	}
	e.maskAll(masks)
	e.eraseEnvoy(c.log.envoy)
	before := e.Error
	e.eraseSecrets(c.log.names)
	return c.cleaned(r, e, before != nil && len(e.Erased) > 0, masks)
}

// cleaned is the record with what is left in the event.
func (c *Cleaner) cleaned(r records.Record, e *event, failed bool, masks []mask) (_ records.Record, reason string, err error) {
	for _, m := range masks {
		if m.path[0] == "nd_builtin_cache" {
			r.NDBuiltins = nil
		}
	}
	if r.NDBuiltins != nil && c.log.names.holdsSecret(string(r.NDBuiltins)) {
		r.NDBuiltins = nil
	}
	if len(e.Erased)+len(e.Masked) == 0 {
		return r, "", nil
	}
	// An operand of a builtin may be what is gone from the input, and so may a part of an error.
	r.Masked, r.NDBuiltins = true, nil
	if failed {
		object, _ := e.Error.(map[string]any)
		message, _ := object["message"].(string)
		r.Error = cmp.Or(message, "the error is masked")
	}
	if r.Input, err = textOfTree(e.Input); err != nil {
		return r, DroppedEncoding, err
	}
	if r.Result, err = textOfTree(e.Result); err != nil {
		return r, DroppedEncoding, err
	}
	return r, "", nil
}

// optedOut asks the document of decisions that must not be recorded.
func (c *Cleaner) optedOut(ctx context.Context, g *engine.Generation, see func() (ast.Value, error)) (reason string, err error) {
	if c.own.revision != g.Revision() {
		c.own = policies{revision: g.Revision(), drop: g.CouldDefine(c.optOut)}
	}
	if !c.own.drop {
		return "", nil
	}
	event, err := see()
	if err != nil {
		return DroppedEncoding, err
	}
	drop, err := evaluate(ctx, g, c.optOut, event)
	if err != nil {
		return DroppedDrop, err
	}
	if drop == ast.Boolean(true) {
		return DroppedPolicy, nil
	}
	return "", nil
}

func parsed(text json.RawMessage) (ast.Value, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // nothing is no error
	}
	return engine.ParseJSON(text)
}

func textOfTree(document *any) (json.RawMessage, error) {
	if document == nil {
		return nil, nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(*document); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
