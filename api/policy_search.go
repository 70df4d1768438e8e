package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"defenseclaw/api/internal/decision"
	"defenseclaw/engine"
	"defenseclaw/engine/source"
)

// SearchAnswer is the body of GET /policy/search.
type SearchAnswer struct {
	Generation uint64       `json:"generation"`
	Revision   string       `json:"revision"`
	Matches    []PolicyLine `json:"matches"` // by file and line
	More       bool         `json:"more"`    // there are more than the request asked for
}

// PolicyLine is a line of a module that has the text.
type PolicyLine struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"` // in bytes, from 1
	Text   string `json:"text"`   // the line, or what is around the place in a long one
}

const (
	defaultMatches, maxMatches = 100, 1000
	maxLineText                = 300 // bytes of a line that is shown
)

// search is GET /policy/search: the lines of the modules that serve which have a text. Upper and lower case of ASCII letters
// are the same. It looks at all modules: 20 MB take some ten milliseconds.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	text := query.Get("q")
	if text == "" || len(text) > maxSearch || bytes.ContainsAny([]byte(text), "\r\n") {
		return decision.BadRequest("q is the text to look for, of one line and at most %d bytes", maxSearch)
	}
	limit, err := countOf(query, "limit", defaultMatches, maxMatches)
	if err != nil {
		return err
	}
	g := s.current()
	if g == nil {
		return decision.ErrNoPolicy
	}
	answer := SearchAnswer{Generation: g.Number(), Revision: g.Revision()}
	answer.Matches, err = linesWith(r.Context(), g, text, limit+1)
	if err != nil {
		return err
	}
	if answer.More = len(answer.Matches) > limit; answer.More {
		answer.Matches = answer.Matches[:limit]
	}
	decision.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// linesWith are the first lines with a text, at most so many; each once.
func linesWith(ctx context.Context, g *engine.Generation, text string, most int) ([]PolicyLine, error) {
	found := []PolicyLine{}
	wanted := lowered(nil, []byte(text))
	var folded []byte
	for _, f := range g.Files() {
		if f.Kind() != source.KindModule {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		folded = lowered(folded[:0], f.Bytes)
		row, begin := 1, 0 // of the line that was looked at last
		for from := 0; ; {
			i := bytes.Index(folded[from:], wanted)
			if i < 0 {
				break
			}
			at := from + i
			row += bytes.Count(folded[begin:at], []byte("\n"))
			begin = bytes.LastIndexByte(folded[:at], '\n') + 1
			end := len(folded)
			if n := bytes.IndexByte(folded[at:], '\n'); n >= 0 {
				end = at + n
			}
			found = append(found, PolicyLine{File: f.Path, Line: row, Column: at - begin + 1, Text: around(f.Bytes[begin:end], at-begin)})
			if len(found) == most {
				return found, nil
			}
			if end == len(folded) {
				break
			}
			row, begin, from = row+1, end+1, end+1
		}
	}
	return found, nil
}

// lowered appends a text with its ASCII letters in lower case: a text of the same length.
func lowered(to, text []byte) []byte {
	for _, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// around is a line, or what of a long one is around a place.
func around(line []byte, at int) string {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) <= maxLineText {
		return string(bytes.ToValidUTF8(line, []byte("\uFFFD")))
	}
	from := max(0, min(at-maxLineText/3, len(line)-maxLineText)) //nolint:mnd // more of what follows
	end := min(from+maxLineText, len(line))
	for from > 0 && from < end && !utf8.RuneStart(line[from]) {
		from++
	}
	for end < len(line) && end > from && !utf8.RuneStart(line[end]) {
		end--
	}
	text := string(bytes.ToValidUTF8(line[from:end], []byte("\uFFFD")))
	if from > 0 {
		text = "…" + text
	}
	if end < len(line) {
		text += "…"
	}
	return text
}

// Search asks for the lines of the modules that serve which have a text. limit is 0 for 100.
func (c *Client) Search(ctx context.Context, text string, limit int) (answer SearchAnswer, err error) {
	query := url.Values{"q": {text}}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return answer, c.get(ctx, "/policy/search?"+query.Encode(), &answer)
}
