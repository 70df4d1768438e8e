package worktree

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// A signedObject is a commit or a tag, as it lies in the repository: what was signed, and the signature.
type signedObject struct {
	payload   []byte
	signature []byte // armored; empty if there is none
	headers   []header
}

type header struct{ name, value string }

// Headers that hold signatures. The signature of the other hash function covers the same object in another repository.
const (
	signatureHeader      = "gpgsig"
	otherSignatureHeader = "gpgsig-sha256"
)

// splitCommit takes the signature out of a commit, as git does before it verifies it.
func splitCommit(raw []byte) (signedObject, error) {
	var o signedObject
	var current string // the header whose lines are read
	count := 0
	rest := raw
	for len(rest) > 0 && rest[0] != '\n' {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return o, errors.New("its header has no end")
		}
		line := rest[:end+1]
		rest = rest[end+1:]
		if line[0] != ' ' {
			name, _, _ := bytes.Cut(line[:end], []byte{' '})
			if current = string(name); current == signatureHeader {
				count++
			}
		}
		switch current {
		case signatureHeader:
			text := bytes.TrimPrefix(line, []byte(signatureHeader))
			o.signature = append(o.signature, text[min(1, len(text)):]...)
		case otherSignatureHeader:
		default:
			o.payload = append(o.payload, line...)
		}
	}
	if count > 1 {
		return o, errors.New("it has two signatures")
	}
	o.payload = append(o.payload, rest...)
	o.headers = headersOf(o.payload)
	return o, nil
}

// splitTag: the signature of a tag is the end of its message.
func splitTag(raw []byte) signedObject {
	at := len(raw)
	for _, begin := range []string{"-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP SIGNATURE-----"} {
		if i := bytes.LastIndex(raw, []byte("\n"+begin)); i >= 0 {
			at = min(at, i+1)
		}
	}
	return signedObject{payload: raw[:at], signature: raw[at:], headers: headersOf(raw[:at])}
}

// headersOf are the lines before the first empty one, without those that continue another.
func headersOf(payload []byte) []header {
	text, _, _ := strings.Cut(string(payload), "\n\n")
	var all []header
	for line := range strings.SplitSeq(text, "\n") {
		if name, value, ok := strings.Cut(line, " "); ok && name != "" {
			all = append(all, header{name, value})
		}
	}
	return all
}

// commit is what is read of one.
type commit struct {
	tree    plumbing.Hash
	parents []plumbing.Hash
	time    time.Time // of the committer
}

func (o signedObject) commit() (commit, error) {
	var c commit
	var err error
	if len(o.headers) == 0 || o.headers[0].name != "tree" {
		return c, errors.New("it does not begin with its tree")
	}
	if c.tree, err = hashOf(o.headers[0].value); err != nil {
		return c, err
	}
	for _, h := range o.headers[1:] {
		switch h.name {
		case "parent":
			parent, err := hashOf(h.value)
			if err != nil {
				return c, err
			}
			c.parents = append(c.parents, parent)
		case "tree":
			return c, errors.New("it has two trees")
		case "committer":
			if c.time, err = timeOf(h.value); err != nil {
				return c, err
			}
		}
	}
	if c.time.IsZero() {
		return c, errors.New("it has no committer")
	}
	return c, nil
}

// tag is what is read of one.
type tag struct {
	name   string
	target plumbing.Hash
	time   time.Time // of the tagger
}

func (o signedObject) tag() (tag, error) {
	const object, kind, name, tagger = 0, 1, 2, 3
	var t tag
	names := []string{"object", "type", "tag", "tagger"}
	if len(o.headers) != len(names) {
		return t, errors.New("it has other headers than a tag")
	}
	for i, h := range o.headers {
		if h.name != names[i] {
			return t, errors.New("it has other headers than a tag")
		}
	}
	var err error
	if o.headers[kind].value != "commit" {
		return t, fmt.Errorf("it is a tag of a %s", o.headers[kind].value)
	}
	if t.target, err = hashOf(o.headers[object].value); err != nil {
		return t, err
	}
	t.name = o.headers[name].value
	t.time, err = timeOf(o.headers[tagger].value)
	return t, err
}

func hashOf(text string) (plumbing.Hash, error) {
	var h plumbing.Hash
	if len(text) != hex.EncodedLen(len(h)) {
		return h, fmt.Errorf("%.80q is no SHA-1", text)
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err
}

// timeOf reads the end of "NAME <MAIL> SECONDS ZONE".
func timeOf(who string) (time.Time, error) {
	_, at, _ := strings.Cut(who[strings.LastIndexByte(who, '>')+1:], " ")
	seconds, _, _ := strings.Cut(at, " ")
	n, err := strconv.ParseInt(seconds, 10, 64)
	const latest = 1 << 40
	if err != nil || n < 0 || n > latest {
		return time.Time{}, fmt.Errorf("%.80q has no time", who)
	}
	return time.Unix(n, 0).UTC(), nil
}
