package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"
)

func schema(t *testing.T) *Schema {
	t.Helper()
	s, err := referenceSchema()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refuses is what an editor finds wrong with a value, by the keywords that are used
// here; "" is nothing.
func refuses(s *Schema, v any, at string) string {
	kind := map[bool]string{}
	switch v := v.(type) {
	case map[string]any:
		kind[true] = "object"
		for key := range v {
			if s.Properties[key] == nil && s.Closed != nil && !*s.Closed {
				return at + ": unknown key " + key
			}
		}
		for _, key := range s.Required {
			if _, ok := v[key]; !ok {
				return at + ": no " + key
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if s.Properties[key] != nil {
				if why := refuses(s.Properties[key], v[key], at+"."+key); why != "" {
					return why
				}
			}
		}
	case []any:
		kind[true] = "array"
		if len(v) < s.MinItems || s.MaxItems > 0 && len(v) > s.MaxItems {
			return fmt.Sprintf("%s: %d items", at, len(v))
		}
		for i, item := range v {
			if s.Items != nil {
				if why := refuses(s.Items, item, fmt.Sprintf("%s[%d]", at, i)); why != "" {
					return why
				}
			}
		}
	case string:
		kind[true] = "string"
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Sprintf("%s: %q does not match %s", at, v, s.Pattern)
		}
	case bool:
		kind[true] = "boolean"
	case int:
		kind[true] = "integer"
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Sprintf("%s: %d", at, v)
		}
	case float64:
		kind[true] = "number"
	case nil:
		kind[true] = "null"
	}
	if s.Enum != nil && !slices.Contains(s.Enum, fmt.Sprint(v)) {
		return fmt.Sprintf("%s: %v is none of %v", at, v, s.Enum)
	}
	if s.Type != nil && !slices.Contains(s.Type, kind[true]) && !(kind[true] == "integer" && slices.Contains(s.Type, "number")) {
		return fmt.Sprintf("%s: %s, not one of %v", at, kind[true], s.Type)
	}
	return ""
}

// inEditor is a file as an editor understands it; ok is false if it is no YAML.
func inEditor(text string) (v any, ok bool) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) == 0 {
		return nil, false
	}
	return value(n.Content[0]), true
}

func value(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = value(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, value(item))
		}
		return list
	}
	var v any
	switch n.ShortTag() {
	case "!!int":
		if n.Decode(&v) != nil {
			return n.Value
		}
		if i, ok := v.(int); ok {
			return i
		}
		return math.MaxInt // some number beyond all limits
	case "!!float":
		return 0.5
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	}
	return n.Value
}

// referenceSchema is drawn up once for all files.
var referenceSchema = sync.OnceValues(func() (*Schema, error) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		return nil, err
	}
	return NewSchema(data, testChips)
})

// parse reads a file, and wants the schema to take it if the reader does.
func parse(t testing.TB, text string) (*Config, error) {
	t.Helper()
	s, err := referenceSchema()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("gateway.yaml", []byte(text), testChips)
	if v, ok := inEditor(text); ok && err == nil {
		if why := refuses(s, v, ""); why != "" {
			t.Errorf("the reader takes what the schema refuses: %s\n%s", why, text)
		}
	}
	return c, err
}

// What the schema refuses, the reader refuses: see [parse], which all tests use. It
// refuses most of the files that the tests have for the reader.
func TestSchemaRefusesBadFiles(t *testing.T) {
	s := schema(t)
	refused, total := 0, 0
	for _, c := range slices.Concat(badConfigs, badSensors, badAccess, badMotors, badAlarms) {
		if v, ok := inEditor(c.file); ok {
			total++
			if refuses(s, v, "") != "" {
				refused++
			}
		}
	}
	t.Logf("%d of %d", refused, total)
	if refused < 60 {
		t.Errorf("the schema refuses %d of %d files that the reader refuses", refused, total)
	}
}

// A mistake of each kind that a schema can see.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	for text, want := range map[string]string{
		"{}":                                ": no sensors",
		"sensors: []":                       ".sensors: 0 items",
		"sensors: {name: a}":                ".sensors: object, not one of [array]",
		"sensors: [{name: a}]":              ".sensors[0]: no chip",
		"sensors: [{name: A, chip: sht3x}]": `.sensors[0].name: "A" does not match`,
		"sensors: [{name: a, chip: nope}]":  ".sensors[0].chip: nope is none of",
		"sensors: [{name: a, chip: sht3x, adress: 68}]":                                 ".sensors[0]: unknown key adress",
		"sensors: [{name: a, chip: sht3x, interval: 100}]":                              ".sensors[0].interval: 100",
		"sensors: [{name: a, chip: sht3x, mux: {address: 0x70}}]":                       ".sensors[0].mux: no channel",
		"sensors: [{name: a, chip: sht3x, mux: {address: 0x44, channel: 0}}]":           ".sensors[0].mux.address: 68",
		"sensors: [{name: a, chip: sht3x, mux: {address: 0x70, channel: 8}}]":           ".sensors[0].mux.channel: 8",
		oneSensor + "tls: {cert: /a}":                                                   ".tls: no key",
		oneSensor + "insecure: yess":                                                    `.insecure: "yess" does not match`,
		oneSensor + "log_format: xml":                                                   ".log_format: xml is none of",
		oneSensor + "estop: GPIO22":                                                     ".estop: string, not one of [object]",
		oneSensor + "motors: [{name: a, kind: pump, pin: GPIO17}]":                      ".motors[0].kind: pump is none of",
		oneSensor + "motors: [{name: a, kind: on_off, pin: GPIO17, pwm_frequency: -1}]": ".motors[0].pwm_frequency: -1",
		oneSensor + "hosts: [{a: b}]":                                                   ".hosts[0]: object, not one of [string number boolean]",
		oneSensor + "uplink: {brokers: []}":                                             ".uplink.brokers: 0 items",
	} {
		v, ok := inEditor(text)
		if why := refuses(s, v, ""); !ok || !strings.HasPrefix(why, want) {
			t.Errorf("%s: %q, want %q", text, why, want)
		}
		if _, err := Parse("gateway.yaml", []byte(text), testChips); err == nil {
			t.Errorf("the reader takes %s", text)
		}
	}
}

// Every key says what it is for, in the words of the example.
func TestSchemaDescribesEveryKey(t *testing.T) {
	s := schema(t)
	var visit func(s *Schema, at string)
	keys := 0
	visit = func(s *Schema, at string) {
		for _, key := range s.Keys() {
			p := s.Properties[key]
			keys++
			if len(p.Description) < 15 {
				t.Errorf("%s.%s: description %q", at, key, p.Description)
			}
			visit(p, at+"."+key)
			if p.Items != nil {
				visit(p.Items, at+"."+key+"[]")
			}
		}
	}
	visit(s, "")
	if keys < 45 {
		t.Errorf("%d keys", keys)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), `{"$schema":"http://json-schema.org/draft-07/schema#","title":"gateway.yaml","type":["object"],"properties":{`) {
		t.Errorf("%.200s", text)
	}
}
