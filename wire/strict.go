package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// members reads a JSON object the strict way: encoding/json would take the last
// of duplicate keys, any letter case and invalid UTF-8 (RFC 8259, sections 4
// and 8.1), and with each of these two readers of one command can understand
// different ones.
func members(data []byte) (map[string]json.RawMessage, error) {
	list, err := memberList(data)
	if err != nil {
		return nil, err
	}
	all := make(map[string]json.RawMessage, len(list))
	for _, m := range list {
		if _, twice := all[m.name]; twice {
			return nil, fmt.Errorf("%q appears twice", m.name)
		}
		all[m.name] = m.value
	}
	return all, nil
}

type member struct {
	name  string
	value json.RawMessage
}

// memberList reads a JSON object with its duplicate keys, in their order.
func memberList(data []byte) (list []member, err error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: t.(string)} // the decoder allows nothing else here
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more follows the object")
	}
	return list, nil
}

func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }
