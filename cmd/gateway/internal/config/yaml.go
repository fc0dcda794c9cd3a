package config

import (
	"cmp"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/config/syntax"
	"sensorgateway/cmd/gateway/internal/phrase"

	"gopkg.in/yaml.v3"
)

// decoder walks the nodes of one file and gathers what is wrong with them. It
// decodes by hand because yaml.v3 into structs stops at the first error, takes
// null for anything, and names Go types in its errors.
//
// A value is what is written, quoted or not; its meaning comes from its key.
type decoder struct {
	file     string
	problems Error
	schemas  map[string]*Schema // by the path without indices; nil: none is drawn up
}

// parse returns the root node of the file, or nil after it has noted why.
func (d *decoder) parse(data []byte) *yaml.Node {
	root, line, problem := syntax.Parse(data)
	if problem != "" {
		d.problem(&yaml.Node{Line: line}, "%s", problem)
	}
	return root
}

// problem notes what is wrong at n.
func (d *decoder) problem(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: max(n.Line, 1), Text: fmt.Sprintf(format, args...), column: n.Column})
}

// usable reports whether n, which stands at path, is a value at all, and notes
// what is wrong if not. YAML's references and types have no place in a file that
// people must understand at a glance.
func (d *decoder) usable(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.problem(n, "%s: anchors and aliases (&x, *x) are not supported (write the value out)", path)
	case n.Style&yaml.TaggedStyle != 0:
		d.problem(n, "%s: tags such as %s are not supported (write the value alone)", path, phrase.Quote(n.Tag))
	case n.Tag == "!!null":
		d.problem(n, "%s: no value (give it one, or remove the line)", path)
	default:
		return true
	}
	return false
}

// section is one mapping of the file. Each of its keys is asked for once, by a
// method with the type it must have; done then reports the others.
type section struct {
	*decoder
	node   *yaml.Node
	path   string // "" is the whole file, sensors[0] the first sensor
	keys   []*yaml.Node
	values map[string]*yaml.Node
	known  []string
	schema *Schema // nil: none is drawn up
}

// section returns the mapping n that stands at path, or nil after it has noted why.
func (d *decoder) section(n *yaml.Node, path string) *section {
	name := cmp.Or(path, "the whole file")
	if !d.usable(n, name) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n, "%s: %s where keys with values must be (write key: value)", name, kind(n))
		return nil
	}
	s := &section{decoder: d, node: n, path: path, values: map[string]*yaml.Node{}, schema: d.objectSchema(path)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch first := s.values[key.Value]; {
		case key.Tag == "!!merge":
			d.problem(key, "%s: merge keys are not supported (write the keys out)", s.at("<<"))
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null" || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
			d.problem(key, "a key%s is not a plain word (write key: value)", s.in())
		case first != nil:
			d.problem(key, "duplicate key %s%s, already on line %d (remove one)", phrase.Quote(key.Value), s.in(), first.Line)
		default:
			s.keys = append(s.keys, key)
			s.values[key.Value] = value
		}
	}
	return s
}

// at returns the full name of key.
func (s *section) at(key string) string {
	if s.path == "" {
		return key
	}
	return s.path + "." + key
}

// in returns where the section's keys are, for a sentence.
func (s *section) in() string {
	if s.path == "" {
		return ""
	}
	return " in " + s.path
}

// fault notes what is wrong with the value n of key.
func (s *section) fault(n *yaml.Node, key, format string, args ...any) {
	s.problem(n, "%s: %s", s.at(key), fmt.Sprintf(format, args...))
}

// has reports whether key is there, with a good value or a bad one.
func (s *section) has(key string) bool { return s.values[key] != nil }

// value returns the usable value of key, or nil.
func (s *section) value(key string) *yaml.Node {
	s.known = append(s.known, key)
	s.draw(key, anyScalar)
	n := s.values[key]
	if n == nil || !s.usable(n, s.at(key)) {
		return nil
	}
	return n
}

// text reads a single value as it is written. Like the other methods that read a key, it
// returns the node of the value, or nil if it did not change into: the key is not there,
// or its value is wrong, which was noted.
func (s *section) text(key string, into *string) *yaml.Node {
	n := s.value(key)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		s.fault(n, key, "%s where a single value must be (write %s: value)", kind(n), key)
		return nil
	}
	*into = n.Value
	return n
}

// list reads a list; fix says what to write instead of anything else.
func (s *section) list(key, fix string) *yaml.Node {
	n := s.value(key)
	s.draw(key, s.listSchema(key))
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		s.fault(n, key, "%s where a list must be (%s)", kind(n), fix)
		return nil
	}
	return n
}

// texts reads a list of single values: where each is, such as hosts[0], and its
// node. What is wrong with the others is noted.
func (s *section) texts(key string) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		fix := `begin each item with "- "`
		if n := s.values[key]; n != nil && n.Kind == yaml.ScalarNode {
			fix = fmt.Sprintf("write %s: [%s]", key, phrase.Quote(n.Value))
		}
		list := s.list(key, fix)
		if list == nil {
			return
		}
		for i, n := range list.Content {
			at := fmt.Sprintf("%s[%d]", key, i)
			switch {
			case !s.usable(n, s.at(at)): // noted
			case n.Kind != yaml.ScalarNode:
				s.fault(n, at, "%s where a single value must be (a value with \": \" or [ ] in it needs quotes)", kind(n))
			case !yield(at, n):
				return
			}
		}
	}
}

// truth reads true or false.
func (s *section) truth(key string, into *bool) *yaml.Node {
	var text string
	n := s.text(key, &text)
	s.draw(key, truthSchema)
	if n == nil {
		return nil
	}
	fix := "true or false"
	switch strings.ToLower(text) {
	case "true", "false":
		*into = len(text) == len("true")
		return n
	case "yes", "on", "y", "1":
		fix = "true"
	case "no", "off", "n", "0":
		fix = "false"
	}
	s.fault(n, key, "%s is neither true nor false (write %s)", phrase.Quote(text), fix)
	return nil
}

// number reads a whole number from 0 to limit, decimal or 0x and hexadecimal;
// fix says what to write instead of anything else.
func (s *section) number(key string, limit int, fix string, into *int) *yaml.Node {
	var text string
	n := s.text(key, &text)
	s.draw(key, numberSchema(limit))
	if n == nil {
		return nil
	}
	v, ok := phrase.ParseNumber(text)
	if !ok || v > limit {
		s.fault(n, key, "%s is not a whole number from 0 to %d (%s)", phrase.Quote(text), limit, fix)
		return nil
	}
	*into = v
	return n
}

var bareNumberForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// duration reads a number with a unit. A bare number was probably meant in
// milliseconds, or in seconds if those would be less than plausible.
func (s *section) duration(key string, plausible time.Duration, into *time.Duration) *yaml.Node {
	var text string
	n := s.text(key, &text)
	s.draw(key, durationSchema)
	if n == nil {
		return nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		*into = d
		return n
	}
	if ms, err := time.ParseDuration(text + "ms"); err == nil && bareNumberForm.MatchString(text) {
		unit := "ms"
		if ms < plausible {
			unit = "s"
		}
		s.fault(n, key, "%s has no unit (write %s%s)", phrase.Quote(text), text, unit)
		return nil
	}
	fix := "a number with a unit, such as 100ms, 5s or 1m30s"
	compact := strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), ",", ".")
	if _, err := time.ParseDuration(compact); err == nil {
		fix = compact
	}
	s.fault(n, key, "%s is not a duration (write %s)", phrase.Quote(text), fix)
	return nil
}

// done notes the keys that no method has read.
func (s *section) done() {
	for _, key := range s.keys {
		if slices.Contains(s.known, key.Value) {
			continue
		}
		fix := "known: " + strings.Join(s.known, ", ")
		if near := phrase.Nearest(key.Value, s.known); near != "" {
			fix = fmt.Sprintf("did you mean %q?", near)
		}
		s.problem(key, "unknown key %s%s (%s)", phrase.Quote(key.Value), s.in(), fix)
	}
}

// kind names what n is, in words of the file.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return phrase.Quote(n.Value)
}
