package console

import (
	"fmt"
	"strings"
)

// marked is a level with the word that says what it is of, for the template of all of them: a shape, a colour and the word.
type marked struct {
	Level level // none of those that there are: nothing has happened yet
	Word  string
}

// mark is called by templates, which have levels and words of several types.
func mark(of, word any) marked {
	return marked{level(fmt.Sprint(of)), fmt.Sprint(word)}
}

// outcomeLevel is how well an outcome of a decision is.
func outcomeLevel(outcome string) level {
	switch outcome {
	case "allow":
		return well
	case "error":
		return wrong
	default:
		return look
	}
}

// reloadLevel is how well an attempt went.
func reloadLevel(status string) level {
	switch status {
	case "failed":
		return wrong
	case "held":
		return look
	default:
		return well
	}
}

// flipLevel is how grave a flip of a decision is.
func flipLevel(kind any) level {
	switch fmt.Sprint(kind) {
	case "deny_to_allow", "to_error":
		return wrong
	case "from_error":
		return well
	default:
		return look
	}
}

// flipWord is a kind of flip in words.
func flipWord(kind any) string {
	return strings.ReplaceAll(fmt.Sprint(kind), "_", " ")
}
