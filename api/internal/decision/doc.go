// Package decision holds what the protocols of api share about decisions: what they ask and how it
// ended, the identifiers and headers that name a decision, and how bodies are read and written.
//
// The leaves of api import it, and so does api; it imports neither.
package decision
