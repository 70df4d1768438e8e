package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// ImportActor is the actor of entries that were taken over from the original gateway.
const ImportActor = "original gateway"

// Import is the lists of an original gateway, or a part of them, in the form that lists have here.
type Import struct {
	Source  string    `json:"source"` // where they come from, for the records
	Entries []Entry   `json:"entries"`
	LeftOut []LeftOut `json:"left_out"` // what has no place on a list here

	sha256 string // of all that was read
}

// LeftOut is one entry of the original's that is not taken over.
type LeftOut struct {
	List   string `json:"list"`   // [ListBlock], [ListAllow], or empty if it was on neither
	Target string `json:"target"` // TYPE/NAME
	Why    string `json:"why"`
}

// maxImported is the longest type and name of a blocked target that is taken over. It is more than [Entry.Validate] takes:
// what was blocked must stay so.
const maxImported = 4096

// Lists reads the lists, which the original keeps in its table actions. The result has at most one entry for each target, a
// block where the original has a block and an allow.
func (o *Original) Lists(ctx context.Context) (Import, error) {
	var im Import
	err := o.read(ctx, func(db querier) (err error) {
		im, err = readActions(ctx, db)
		return err
	})
	im.Source = o.path
	return im, err
}

// action is a row of the original's table actions. Its values have any of SQLite's types.
type action struct {
	kind, name, path, actions, reason, updated, connector any
}

func readActions(ctx context.Context, db querier) (_ Import, err error) {
	found, err := columnsOf(ctx, db, "actions")
	if err == nil && len(found) == 0 {
		if own, e := columnsOf(ctx, db, "list_entries"); e == nil && len(own) > 0 {
			return readOwn(ctx, db)
		}
	}
	if err == nil {
		err = needColumns(found, "actions", "target_type", "target_name", "actions_json")
	}
	if err != nil {
		return Import{}, err
	}
	var columns []string
	for _, name := range []string{"target_type", "target_name", "source_path", "actions_json", "reason", "updated_at", "connector"} {
		if found[name] {
			columns = append(columns, "+"+name) // as an expression: the driver would convert a DATETIME
		} else {
			columns = append(columns, "NULL")
		}
	}
	im, b := Import{Entries: []Entry{}, LeftOut: []LeftOut{}}, []byte(domainImport)
	at := map[[2]string]int{} // of a target's entry
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM actions ORDER BY rowid")
	if err != nil {
		return Import{}, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a action
		if err := rows.Scan(&a.kind, &a.name, &a.path, &a.actions, &a.reason, &a.updated, &a.connector); err != nil {
			return Import{}, err
		}
		for _, v := range []any{a.kind, a.name, a.path, a.actions, a.reason, a.updated, a.connector} {
			b = appendValue(b, v)
		}
		im.add(&a, at)
	}
	im.sha256 = digest(string(b))
	return im, rows.Err()
}

// readOwn reads the lists of a log of this program, such as one that an older version began when it ran again.
func readOwn(ctx context.Context, db querier) (Import, error) {
	im, at := Import{Entries: []Entry{}, LeftOut: []LeftOut{}}, map[[2]string]int{}
	all, err := entries(ctx, db, "")
	for _, e := range all {
		im.addEntry(e, "", at)
	}
	return im, err
}

// add puts a row where it belongs. at has the index of the entry of each target.
func (im *Import) add(a *action, at map[[2]string]int) {
	e, why := a.entry()
	im.addEntry(e, why, at)
}

func (im *Import) addEntry(e Entry, why string, at map[[2]string]int) {
	if why != "" {
		im.LeftOut = append(im.LeftOut, LeftOut{List: e.List, Target: e.name(), Why: why})
		return
	}
	target := [2]string{e.TargetType, e.TargetName}
	i, there := at[target]
	switch {
	case !there:
		at[target] = len(im.Entries)
		im.Entries = append(im.Entries, e)
	case im.Entries[i].List == ListAllow && e.List == ListBlock: // of different connectors
		im.LeftOut = append(im.LeftOut, LeftOut{List: ListAllow, Target: e.name(), Why: "it is blocked as well"})
		im.Entries[i] = e
	case e.List == ListAllow && im.Entries[i].List == ListBlock:
		im.LeftOut = append(im.LeftOut, LeftOut{List: ListAllow, Target: e.name(), Why: "it is blocked as well"})
	}
}

// entry converts the row. why says why it has no place on a list; empty if it has.
func (a *action) entry() (e Entry, why string) {
	clean := func(v any) string { return strings.ToValidUTF8(text(v), "\uFFFD") } // as JSON, by which callers name targets, has it
	e = Entry{
		TargetType: clean(a.kind), TargetName: clean(a.name), Reason: fitReason(clean(a.reason)), SourcePath: clean(a.path),
		Actor: ImportActor, CreatedAt: parseTime(clean(a.updated)),
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = parseTime(timeText(time.Now()))
	}
	var state struct {
		File    any `json:"file"`
		Runtime any `json:"runtime"`
		Install any `json:"install"`
	}
	if err := json.Unmarshal([]byte(text(a.actions)), &state); err != nil {
		e.List = ListBlock // as far as one can tell
		return e, fmt.Sprintf("actions_json cannot be read: %v", err)
	}
	switch state.Install {
	case "block":
		e.List = ListBlock
		if err := e.validateImport(); err != nil {
			return e, err.Error()
		}
		e.SourcePath = "" // a block holds wherever the target comes from
		return e, ""
	case "allow":
		e.List = ListAllow
		if connector := clean(a.connector); connector != "" {
			return e, fmt.Sprintf("it is allowed for the connector %q only, and the lists here hold for all", connector)
		}
		if err := e.Validate(); err != nil {
			return e, err.Error()
		}
		return e, ""
	case nil, "":
		return e, fmt.Sprintf("it is neither blocked nor allowed there: %s", cut(text(a.actions), 256))
	}
	e.List = ListBlock
	return e, fmt.Sprintf("install is %v: expected block or allow", state.Install)
}

// Validate returns what is wrong with an import, or nil.
func (im *Import) Validate() error {
	if im.Source == "" || len(im.Entries)+len(im.LeftOut) == 0 {
		return errors.New("source is required, and at least one of entries and left_out")
	}
	for i := range im.Entries {
		if err := im.Entries[i].validateImport(); err != nil {
			return fmt.Errorf("entries[%d]: %w", i, err)
		}
	}
	for i, left := range im.LeftOut {
		if left.List != "" && left.List != ListBlock && left.List != ListAllow {
			return fmt.Errorf("left_out[%d]: list is %q: expected block, allow or nothing", i, left.List)
		}
	}
	return nil
}

// validateImport is Validate for an entry that is taken over: a block may have a name that no other entry may.
func (e *Entry) validateImport() error {
	if e.List == ListBlock {
		return e.validate(maxImported, maxImported, true)
	}
	return e.Validate()
}

// fitReason makes a reason one that [Entry.Validate] takes.
func fitReason(s string) string {
	return cut(strings.Join(strings.FieldsFunc(s, unicode.IsControl), " "), 1000)
}

// Unknown returns the entries that the lists do not have: the import would change the list for them.
func (im Import) Unknown(now *Lists) []Entry {
	var all []Entry
	for _, e := range im.Entries {
		block, allow := now.For(e.TargetType, e.TargetName)
		if e.List == ListBlock && len(block) == 0 || e.List == ListAllow && len(block)+len(allow) == 0 {
			all = append(all, e)
		}
	}
	return slices.Clip(all)
}
