package review

import "defenseclaw/engine"

// Finding is what an operator should know of a candidate, or of what serves.
type Finding struct {
	Code    string
	Path    string // the document that it is about
	Message string // for people
}

// CodeGone is the code of a [Finding]: decisions have used a document that nothing defines any more.
const CodeGone = "gone"

// Findings names the documents that decisions have used and that are gone: see [engine.Engine.LossOf].
func Findings(lost []engine.LostDocument) []Finding {
	var found []Finding
	for _, d := range lost {
		if d.Used {
			found = append(found, Finding{Code: CodeGone, Path: d.Path, Message: "decisions have used " + d.Path + ", and nothing defines it any more"})
		}
	}
	return found
}
