package audit

import (
	"context"
	"errors"
	"strings"
)

// Query returns the records of the original's table audit_events that f selects, newest first. Their Seq is the position
// in the table. Columns that this package has no field for are left out; there are no outcomes.
func (o *Original) Query(ctx context.Context, f Filter) (records []Record, err error) {
	if f.Outcome != "" {
		return nil, errors.New("outcome: the records of the original gateway have none")
	}
	err = o.read(ctx, func(db querier) (err error) {
		records, err = originalEvents(ctx, db, f)
		return err
	})
	return records, err
}

func originalEvents(ctx context.Context, db querier, f Filter) (records []Record, err error) {
	found, err := columnsOf(ctx, db, "audit_events")
	if err == nil {
		err = needColumns(found, "audit_events", "id", "timestamp", "action")
	}
	if err != nil {
		return nil, err
	}
	selected, conditions, args := []string{"rowid"}, []string{"rowid > ?"}, []any{f.After}
	for _, c := range new(values).columns() {
		if found[c.name] {
			selected = append(selected, "+"+c.name) // as an expression: the driver would convert a DATETIME
		} else {
			selected = append(selected, "NULL")
		}
	}
	for _, t := range f.texts() {
		switch {
		case *t.value == "":
		case found[t.name]:
			conditions, args = append(conditions, t.name+" = ?"), append(args, *t.value)
		default:
			return []Record{}, nil
		}
	}
	if f.Before > 0 {
		conditions, args = append(conditions, "rowid < ?"), append(args, f.Before)
	}
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM audit_events WHERE "+strings.Join(conditions, " AND ")+
		" ORDER BY rowid DESC", args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	records = []Record{}
	for len(records) < f.PageSize() && rows.Next() {
		var r row
		dest := []any{&r.seq}
		for _, c := range r.values.columns() {
			dest = append(dest, c.value)
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		record := r.record()
		// The original and its tools write times in several forms, which SQL cannot compare.
		if !f.Since.IsZero() && record.Time.Before(f.Since) || !f.Until.IsZero() && !record.Time.Before(f.Until) {
			continue
		}
		records = append(records, record)
	}
	return records, rows.Err()
}
