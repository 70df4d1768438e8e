// Package judge asks a language model, over an OpenAI-compatible chat endpoint, whether a prompt or
// a completion is an attack, and gives its answer as one scanner's result for the guardrail policy.
//
// [New] makes a [Judge]; [Judge.Judge] judges one text; [Judge.InvalidateJudgeVerdictCache] makes
// every verdict kept so far a miss. [Judge.Run] is for a clean end and is not needed to judge.
// A Judge may be used by any number of goroutines at once.
//
// # What is promised
//
// Only an answer of exactly the form that was asked for becomes a verdict. Everything else, from a
// refused connection to an answer with one field too many, is a failure, and a failure is what
// [FailMode] says: never quietly a verdict, and never kept.
//
// A verdict is kept under the policy generation and the epoch in which its call began. A call that
// was under way when the policy changed can therefore neither serve nor fill the new one's cache,
// whatever the order in which the two ended.
//
// The text to judge is data. It stands between two lines that carry a word drawn at random for that
// call, which it cannot contain. Nothing of the model's prose is passed on: findings and reasons are
// made of the fixed names in kinds.go, so that a text cannot write into logs through its judge.
//
// The API key is held by the HTTP client alone: no error, verdict or formatted value contains it,
// and none contains the text, the model's answer or the body of an error answer.
//
// # What it does not do
//
// It decides nothing: thresholds, modes and what follows from a severity are the policy's. It logs
// nothing: [Observe] reports. It reads no environment: what the client library would take from
// OPENAI_* variables is not looked at.
package judge
