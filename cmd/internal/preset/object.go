package preset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// object is a JSON object whose keys keep their order and whose values keep their text, so that an edit changes what it
// names alone.
type object struct {
	keys   []string
	values map[string]json.RawMessage
}

func parse(text []byte) (object, error) {
	o := object{values: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return o, errors.Join(err, errors.New("an object was expected"))
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return o, err
		}
		key, ok := t.(string)
		if !ok {
			return o, fmt.Errorf("%v is no key", t)
		}
		if _, twice := o.values[key]; twice {
			return o, fmt.Errorf("the key %q is there twice", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return o, err
		}
		o.keys, o.values[key] = append(o.keys, key), value
	}
	if _, err := d.Token(); err != nil {
		return o, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return o, errors.New("something follows the object")
	}
	return o, nil
}

func (o object) text() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(o.values[key])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// set returns the text of an object in which a value at a path has become what the edit makes of it, and both values. Objects on
// the way are made where they are missing.
func set(text []byte, path []string, change func(json.RawMessage) (json.RawMessage, error)) (edited []byte, before, after json.RawMessage, err error) {
	o, err := parse(text)
	if err != nil {
		return nil, nil, nil, err
	}
	key := path[0]
	old, found := o.values[key]
	var next json.RawMessage
	if len(path) == 1 {
		after, err = change(old)
		before, next = old, after
	} else {
		if !found {
			old = json.RawMessage("{}")
		}
		next, before, after, err = set(old, path[1:], change)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	o.put(key, next)
	edited, err = o.text()
	return edited, before, after, err
}

// put gives a key a value; nil removes it.
func (o *object) put(key string, value json.RawMessage) {
	_, found := o.values[key]
	switch {
	case value == nil:
		delete(o.values, key)
		o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
		return
	case !found:
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
}
