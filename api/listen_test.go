package api

import (
	"net"
	"testing"
	"time"
)

type recordingConn struct {
	net.Conn
	set []time.Time
}

func (c *recordingConn) SetWriteDeadline(t time.Time) error { c.set = append(c.set, t); return nil }
func (c *recordingConn) SetDeadline(time.Time) error        { return nil }

func TestAWriteDeadlineStandsForThoseOfTheNextSecond(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name  string
		then  time.Time
		moves bool
	}{
		{"the same", at, false},
		{"a little later", at.Add(coarseness - 1), false},
		{"later", at.Add(coarseness), true},
		{"earlier", at.Add(-1), true},
		{"none", time.Time{}, true},
	} {
		inner := &recordingConn{}
		c := &coarseConn{Conn: inner}
		for _, d := range []time.Time{at, tt.then} {
			if err := c.SetWriteDeadline(d); err != nil {
				t.Fatal(err)
			}
		}
		if moved := len(inner.set) == 2 && inner.set[1].Equal(tt.then); moved != tt.moves {
			t.Errorf("%s: set %v; moved is %t, want %t", tt.name, inner.set, moved, tt.moves)
		}
	}
	inner := &recordingConn{}
	c := &coarseConn{Conn: inner}
	for range 2 { // what was set for both directions does not stand for one of them
		if err := c.SetWriteDeadline(at); err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(at.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if len(inner.set) != 2 {
		t.Errorf("set %v", inner.set)
	}
}
