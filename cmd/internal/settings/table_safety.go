package settings

// approving are settings of the process, not of the policy directory: who can edit policy cannot switch them off.
func approving(s *Settings) []Setting {
	return []Setting{
		{
			Flag: "safety-mode", Env: "DEFENSECLAW_SAFETY_MODE", Key: "safety.mode", Default: "report",
			value: choice(&s.SafetyMode, "off", "report", "enforce", "hold"),
			Help: "`MODE` of changes: off and report have a sound change serve at once, and report reviews it then; " +
				"enforce reviews it first, and refuses it for what it finds; hold reviews it first, and has it wait for policy approve",
		},
		{
			Flag: "safety-hold", Env: "DEFENSECLAW_SAFETY_HOLD", Key: "safety.hold", Default: "findings",
			value: choice(&s.SafetyHold, "findings", "always"),
			Help:  "which changes wait with --safety-mode hold: `WHICH` is findings, those with findings, or always",
		},
		{
			Flag: "safety-budget", Env: "DEFENSECLAW_SAFETY_BUDGET", Key: "safety.budget", Default: "5s", value: duration(&s.SafetyBudget),
			Help: "a review before a change serves takes `DURATION` at most; what is not done by then is incomplete",
		},
		{
			Flag: "safety-tests-budget", Env: "DEFENSECLAW_SAFETY_TESTS_BUDGET", Key: "safety.tests.budget", Default: "2s", value: duration(&s.SafetyTests),
			Help: "the tests that a change can affect take `DURATION` of processor time at most; those that did not run by then are incomplete",
		},
		{
			Flag: "safety-incomplete", Env: "DEFENSECLAW_SAFETY_INCOMPLETE", Key: "safety.incomplete", Default: "mode",
			value: choice(&s.SafetyIncomplete, "mode", "admit", "refuse", "hold"),
			Help:  "what becomes of a change whose review is incomplete: `WHAT` is admit, refuse, hold or mode, which is refuse with enforce and hold with hold",
		},
		{
			Flag: "safety-reviewer", Env: "DEFENSECLAW_SAFETY_REVIEWER", Key: "safety.reviewer", Default: "auto", value: choice(&s.SafetyReviewer, "auto", "off"),
			Help: "evaluate changes `HOW`: auto, in a process of its own where that is needed; or off, only what is little, in the sidecar",
		},
		{
			Flag: "safety-reviewer-memory-bytes", Env: "DEFENSECLAW_SAFETY_REVIEWER_MEMORY_BYTES", Key: "safety.reviewer_memory_bytes", Default: "0",
			Help:  "aim at no more than `N` bytes of memory in that process; 0: a quarter of the machine's or container's, and at least 256 MiB",
			value: natural(&s.ReviewerBytes, "a number of bytes, or 0"),
		},
		{
			Flag: "safety-guards-dir", Env: "DEFENSECLAW_SAFETY_GUARDS_DIR", Key: "safety.guards_dir", value: path(&s.SafetyGuardsDir),
			Help: "have the rules of package system.reload in `DIR` judge changes, in addition to those of the policy",
		},
		{
			Flag: "safety-confirm", Env: "DEFENSECLAW_SAFETY_CONFIRM", Key: "safety.confirm", Default: "0s", value: delay(&s.SafetyConfirm),
			Help: "take every change of the files back unless policy confirm comes within `DURATION`; 0: none has to be confirmed",
		},
		{
			Flag: "safety-max-stale", Env: "DEFENSECLAW_SAFETY_MAX_STALE", Key: "safety.max_stale", Default: "0s", value: delay(&s.MaxStale),
			Help: "make no decisions once the policy directory has been broken or missing for `DURATION`; 0: the last good policy decides for ever",
		},
	}
}
