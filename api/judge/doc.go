// Package judge asks a language model, over an OpenAI-compatible chat endpoint, whether a prompt or
// a completion is an attack, and returns the answer as a scanner's result for the guardrail policy.
//
// [New] makes a [Judge]; [Judge.Assess] judges one text; [Judge.InvalidateJudgeVerdictCache] invalidates
// all cached verdicts. [Judge.Run] closes idle connections at the end; judging does not need it.
// A Judge is safe for concurrent use.
//
// # What is promised
//
// Only an answer of exactly the requested form becomes a verdict. Everything else, from a refused
// connection to an answer with one extra field, is a failure. [FailMode] decides what a failure means; it
// is reported as such, and never cached. A call that gets no slot in time blocks in every fail mode.
//
// The cache key of a verdict contains the policy generation and the epoch in which its call began. A call
// in progress while the policy changes therefore neither reads nor fills the new policy's cache.
//
// The text to judge is data. It is sent between two lines that contain a word chosen at random for that
// call, so the text cannot contain it. The model's prose is dropped: findings and reasons consist of the
// fixed names in kinds.go, so a text cannot write to logs through the model.
//
// Only the HTTP client holds the API key: no error, verdict or formatted value contains it, nor the text,
// the model's answer or the body of an error response.
//
// # What it does not do
//
// It makes no decision: thresholds, modes and the consequences of a severity are the policy's. It writes
// no log: see [Observe]. It ignores the OPENAI_* environment variables that the client library would read.
package judge
