package value

import "defenseclaw/engine/internal/jsonast"

// AppendJSON appends a value as JSON, byte for byte as [jsonast.Append] does its Term, with the same limit and the same
// errors. The text refers to nothing of an arena.
func (n *Node) AppendJSON(to []byte, limit int) ([]byte, error) {
	to, err := n.appendJSON(to, limit)
	if err == nil && len(to) > limit {
		err = jsonast.ErrTooLong
	}
	return to, err
}

func (n *Node) appendJSON(to []byte, limit int) (_ []byte, err error) {
	if len(to) > limit {
		return to, jsonast.ErrTooLong
	}
	switch n.kind {
	case Null:
		return append(to, "null"...), nil
	case Boolean:
		if n.num != 0 {
			return append(to, "true"...), nil
		}
		return append(to, "false"...), nil
	case Number:
		return jsonast.AppendNumber(to, n.numberText())
	case String:
		return jsonast.AppendString(to, n.str), nil
	case Object:
		return n.appendObject(to, limit)
	}
	n.Sort() // a set; an array is opened
	to = append(to, '[')
	for i, x := range n.items {
		if i > 0 {
			to = append(to, ',')
		}
		if to, err = x.appendJSON(to, limit); err != nil {
			return to, err
		}
	}
	return append(to, ']'), nil
}

func (n *Node) appendObject(to []byte, limit int) (_ []byte, err error) {
	n.Sort()
	// The kinds are in order, so if the first and the last key are strings, all are. Other keys become strings, and two of
	// them may become the same one.
	if last := len(n.items) - 2; last >= 0 && (n.items[0].kind != String || n.items[last].kind != String) {
		return jsonast.Append(to, n.Term().Value, limit)
	}
	to = append(to, '{')
	for i := 0; i < len(n.items); i += 2 {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(jsonast.AppendString(to, n.items[i].str), ':')
		if to, err = n.items[i+1].appendJSON(to, limit); err != nil {
			return to, err
		}
	}
	return append(to, '}'), nil
}
