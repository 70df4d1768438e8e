package explain

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf16"

	"defenseclaw/engine"

	"github.com/open-policy-agent/opa/v1/util"
	"golang.org/x/term"
)

// ReadInput reads the JSON or YAML of file, or of stdin when file is - or is empty and stdin is not a terminal, as JSON. It
// returns nil when file is empty and stdin is a terminal or has no text.
func ReadInput(file string, stdin *os.File) (json.RawMessage, error) {
	if file == "" && term.IsTerminal(int(stdin.Fd())) {
		return nil, nil
	}
	return ReadInputFile(file, stdin)
}

// ReadInputFile is [ReadInput] that reads stdin, whatever it is, when file is - or empty.
func ReadInputFile(file string, stdin io.Reader) (json.RawMessage, error) {
	name := file
	var text []byte
	var err error
	if file == "" || file == "-" {
		name = "standard input"
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(decoded(text))
	if len(text) == 0 && file == "" {
		return nil, nil
	}
	if !json.Valid(text) {
		return fromYAML(name, text)
	}
	return text, nil
}

// fromYAML is the JSON of a text that is none.
func fromYAML(name string, text []byte) (json.RawMessage, error) {
	wrong := json.Unmarshal(text, new(any))
	if len(text) == 0 || filepath.Ext(name) == ".json" {
		return nil, fmt.Errorf("the input of %s is not JSON: %w", name, wrong)
	}
	if text[0] == '{' || text[0] == '[' { // it is meant to be JSON, most often
		if engine.CheckYAMLInput(text) != nil {
			return nil, fmt.Errorf("the input of %s is not JSON: %w", name, wrong)
		}
	}
	if err := engine.CheckYAMLInput(text); err != nil {
		return nil, fmt.Errorf("the input of %s is neither JSON nor YAML: %w", name, err)
	}
	var v any
	if err := util.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("the input of %s is neither JSON nor YAML: %w", name, err)
	}
	return json.Marshal(v)
}

// decoded is a text without a byte order mark, as UTF-8: editors and shells on Windows write UTF-16.
func decoded(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xef, 0xbb, 0xbf}):
		return text[3:]
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return text
	}
	units := make([]uint16, (len(text)-2)/2)
	for i := range units {
		units[i] = order.Uint16(text[2+2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
