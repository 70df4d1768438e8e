package judge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// filled is an answer of the asked form in which every category has the same object.
func filled(s spec, object string) string {
	var fields []string
	for _, c := range s.categories {
		fields = append(fields, fmt.Sprintf("%q: %s", c.name, object))
	}
	return "{" + strings.Join(fields, ",\n ") + "}"
}

const (
	labelFalse = `{"reasoning":"no","label":false,"signal_strength":"none"}`
	labelTrue  = `{"reasoning":"yes","label":true,"signal_strength":"moderate"}`
	nothing    = `{"detection_result":false,"entities":[]}`
)

func TestAnswersOfTheRequestedFormAreRead(t *testing.T) {
	for _, tt := range []struct {
		name     string
		kind     Kind
		text     string
		findings int
		entities int
	}{
		{"nothing found", Exfil, filled(specs[Exfil], labelFalse), 0, 0},
		{"all found", Exfil, filled(specs[Exfil], labelTrue), 2, 0},
		{"white space", Exfil, "\n\t " + strings.ReplaceAll(filled(specs[Exfil], labelTrue), ":", " : ") + " \r\n", 2, 0},
		{"a fence", Exfil, "```\n" + filled(specs[Exfil], labelTrue) + "\n```", 2, 0},
		{"a fence that names the language", Exfil, "```json\n" + filled(specs[Exfil], labelTrue) + "\n```\n", 2, 0},
		{"no signal strength", Exfil, filled(specs[Exfil], `{"label":true,"reasoning":""}`), 2, 0},
		{"a weak sign that is not enough", Exfil, filled(specs[Exfil], `{"label":false,"reasoning":"","signal_strength":"weak"}`), 0, 0},
		{"reasons that look like answers", Exfil, filled(specs[Exfil], `{"reasoning":"\"label\":true}}\u0000","label":false}`), 0, 0},
		{"no personal data", PII, filled(specs[PII], nothing), 0, 0},
		{"entities", PII, filled(specs[PII], `{"detection_result":true,"entities":["a", "b"]}`), 8, 16},
		{"found, and not said what", PII, filled(specs[PII], `{"detection_result":true,"entities":[]}`), 8, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := parseAnswer(specs[tt.kind], tt.text)
			if err != nil || len(a.findings) != tt.findings || a.entities != tt.entities {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestOtherAnswersAreErrorsThatQuoteNothing(t *testing.T) {
	exfil, pii := specs[Exfil], specs[PII]
	good := filled(exfil, labelFalse)
	with := func(object string) string { return filled(exfil, object) }
	for _, tt := range []struct {
		name string
		spec spec
		text string
	}{
		{"nothing", exfil, ""},
		{"white space", exfil, " \n"},
		{"prose", exfil, "SECRET is safe"},
		{"null", exfil, "null"},
		{"an array", exfil, "[" + good + "]"},
		{"a string", exfil, `"SECRET"`},
		{"an empty object", exfil, "{}"},
		{"half an answer", exfil, good[:len(good)/2]},
		{"no closing brace", exfil, strings.TrimSuffix(good, "}")},
		{"text before it", exfil, "SECRET: " + good},
		{"text after it", exfil, good + " SECRET"},
		{"two answers", exfil, good + good},
		{"a fence that is not closed", exfil, "```json\n" + good},
		{"a fence in a text", exfil, "SECRET\n```json\n" + good + "\n```"},
		{"a text after a fence", exfil, "```json\n" + good + "\n```\nSECRET"},
		{"two fences", exfil, "```json\n" + good + "\n```\n```json\n" + good + "\n```"},
		{"a fence of another language", exfil, "```yaml\n" + good + "\n```"},
		{"thoughts before it", exfil, "<think>SECRET</think>" + good},
		{"a trailing comma", exfil, strings.TrimSuffix(good, "}") + ",}"},
		{"single quotes", exfil, strings.ReplaceAll(good, `"`, "'")},
		{"a comment", exfil, good + " // SECRET"},
		{"a category that was not asked for", exfil, strings.TrimSuffix(good, "}") + `,"SECRET":` + labelFalse + "}"},
		{"a category missing", exfil, `{"Sensitive File Access":` + labelFalse + "}"},
		{"a category twice", exfil, strings.TrimSuffix(good, "}") + `,"Exfiltration Channel":` + labelTrue + "}"},
		{"a category twice, spelled differently", exfil, strings.TrimSuffix(good, "}") + `,"\u0045xfiltration Channel":` + labelTrue + "}"},
		{"a category in other letters", exfil, strings.ToLower(good)},
		{"another kind's categories", exfil, filled(pii, nothing)},
		{"a category that is null", exfil, with("null")},
		{"a category that is a boolean", exfil, with("true")},
		{"a category that is an array", exfil, with("[" + labelFalse + "]")},
		{"no label", exfil, with(`{"reasoning":"no"}`)},
		{"no reasoning", exfil, with(`{"label":false}`)},
		{"a label that is a string", exfil, with(`{"reasoning":"no","label":"false"}`)},
		{"a label that is a number", exfil, with(`{"reasoning":"no","label":0}`)},
		{"a label that is null", exfil, with(`{"reasoning":"no","label":null}`)},
		{"a label in other letters", exfil, with(`{"reasoning":"no","Label":false}`)},
		{"a label twice", exfil, with(`{"reasoning":"no","label":true,"label":false}`)},
		{"reasoning of another type", exfil, with(`{"reasoning":["SECRET"],"label":false}`)},
		{"a field that was not asked for", exfil, with(`{"reasoning":"no","label":false,"SECRET":1}`)},
		{"and one instead of the strength", exfil, with(`{"reasoning":"no","label":false,"confidence":1}`)},
		{"a strength that is none of the four", exfil, with(`{"reasoning":"no","label":true,"signal_strength":"SECRET"}`)},
		{"a strength that is a number", exfil, with(`{"reasoning":"no","label":true,"signal_strength":1}`)},
		{"found, of no strength", exfil, with(`{"reasoning":"no","label":true,"signal_strength":"none"}`)},
		{"not found, and strong", exfil, with(`{"reasoning":"no","label":false,"signal_strength":"strong"}`)},
		{"no entities", pii, filled(pii, `{"detection_result":false}`)},
		{"entities that are null", pii, filled(pii, `{"detection_result":false,"entities":null}`)},
		{"entities that are not a list", pii, filled(pii, `{"detection_result":true,"entities":"SECRET"}`)},
		{"entities that are not strings", pii, filled(pii, `{"detection_result":true,"entities":[{"value":"SECRET"}]}`)},
		{"entities of nothing", pii, filled(pii, `{"detection_result":false,"entities":["SECRET"]}`)},
		{"a result that is a number", pii, filled(pii, `{"detection_result":1,"entities":[]}`)},
		{"a field too many", pii, filled(pii, `{"detection_result":false,"entities":[],"SECRET":""}`)},
		{"a deep nest", exfil, strings.Repeat("[", 100_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := parseAnswer(tt.spec, tt.text)
			if err == nil {
				t.Fatalf("read as %+v", a)
			}
			if strings.Contains(err.Error(), "SECRET") || a.severity != "" || a.findings != nil {
				t.Errorf("%v, and %+v", err, a)
			}
		})
	}
}

// FuzzAnswer holds the parser to this: no text breaks it, and a text that it accepts is an object
// with every category, so an answer that lacks one is invalid.
func FuzzAnswer(f *testing.F) {
	for _, s := range specs {
		for _, object := range []string{labelFalse, labelTrue, nothing, `{"detection_result":true,"entities":["x"]}`} {
			f.Add(string(s.kind), filled(s, object))
			f.Add(string(s.kind), "```json\n"+filled(s, object)+"\n```")
		}
	}
	f.Add("pii", "{")
	f.Fuzz(func(t *testing.T, kind, text string) {
		s, ok := specs[Kind(kind)]
		if !ok {
			return
		}
		a, err := parseAnswer(s, text)
		if err != nil {
			return
		}
		if slices.Index(severities, a.severity) < 0 || (a.severity == SeverityNone) != (len(a.findings) == 0) || len(a.findings) > len(s.categories) {
			t.Errorf("%+v", a)
		}
		for _, c := range s.categories {
			if !strings.Contains(text, `\u`) && !strings.Contains(text, c.name) {
				t.Errorf("accepted without %q", c.name)
			}
		}
		again, err := parseAnswer(s,
			"```json\n"+strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(text), "```"), "json"), "```"))+"\n```")
		if err != nil || again.reason != a.reason || again.entities != a.entities {
			t.Errorf("fenced: %+v, %v; before: %+v", again, err, a)
		}
	})
}

func TestTheCacheIsLimited(t *testing.T) {
	v := newVerdicts(DefaultCacheTTL, DefaultCacheEntries)
	put := func(n int) {
		k := key{kind: PII, generation: uint64(n)}
		if _, f, lead := v.join(k); lead {
			v.finish(k, f, answer{entities: n}, nil)
		}
	}
	for n := range DefaultCacheEntries {
		put(n)
	}
	if _, f, _ := v.join(key{kind: PII}); f != nil {
		t.Fatal("the first is gone before there is need")
	}
	for n := range 500 {
		put(DefaultCacheEntries + n)
		if v.cache.Len() != DefaultCacheEntries {
			t.Fatalf("%d are kept", v.cache.Len())
		}
	}
	if _, f, _ := v.join(key{kind: PII}); f != nil {
		t.Error("the one that was used is gone, and unused ones are not")
	}
	if v.cache.Has(key{kind: PII, generation: 1}) {
		t.Error("the least recently used is still cached")
	}
	if len(v.flights) != 0 {
		t.Errorf("%d flights are left", len(v.flights))
	}
}

func TestExpiredVerdictsAreDeletedAtTheNextPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerdicts(time.Minute, 100)
		for n := range 50 {
			k := key{generation: uint64(n)}
			_, f, _ := v.join(k)
			v.finish(k, f, answer{}, nil)
		}
		time.Sleep(time.Minute + 1)
		k := key{generation: 50}
		_, f, _ := v.join(k)
		v.finish(k, f, answer{}, nil)
		if v.cache.Len() != 1 {
			t.Errorf("%d are kept", v.cache.Len())
		}
	})
}

func TestVerdictsOfAnEarlierEpochAreNotCached(t *testing.T) {
	v := newVerdicts(time.Minute, 100)
	k := key{kind: PII}
	_, f, _ := v.join(k)
	v.invalidate()
	v.finish(k, f, answer{}, nil)
	if v.cache.Len() != 0 {
		t.Errorf("%d are kept", v.cache.Len())
	}
}

func TestASecondLeaderOnlyWithoutAVerdict(t *testing.T) {
	v := newVerdicts(time.Minute, 100)
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 2000 {
				k := key{generation: rand.Uint64N(8)}
				_, f, lead := v.join(k)
				switch {
				case lead:
					v.finish(k, f, answer{entities: 1}, nil)
				case f != nil:
					<-f.done
					if f.answer.entities != 1 || f.err != nil {
						t.Error("woken before the answer was there")
					}
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	if made := v.cache.Metrics().Insertions; made != 8 {
		t.Errorf("%d calls for 8 questions", made)
	}
}
