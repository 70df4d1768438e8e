package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// ReadInput reads the JSON of file, or of stdin when file is empty and stdin is not a terminal. It returns
// nil when stdin is a terminal or has no text.
func ReadInput(file string, stdin *os.File) (json.RawMessage, error) {
	name := file
	var text []byte
	var err error
	switch {
	case file != "":
		text, err = os.ReadFile(file)
	case !term.IsTerminal(int(stdin.Fd())):
		name = "standard input"
		text, err = io.ReadAll(stdin)
	}
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(text))) == 0 && file == "" {
		return nil, nil
	}
	if err := json.Unmarshal(text, new(any)); err != nil {
		return nil, fmt.Errorf("the input of %s is not JSON: %w", name, err)
	}
	return text, nil
}
