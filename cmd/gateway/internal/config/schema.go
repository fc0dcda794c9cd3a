package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// Schema is what a value in the file can be, as JSON Schema (draft 7) says it: editors
// complete keys and mark mistakes with it. It is drawn up by the reader itself, while
// it reads a file that has every section, so the two know the same keys.
//
// It refuses nothing that the reader takes. What depends on another value, such as the
// shortest interval of a chip, only the reader knows.
type Schema struct {
	Version     string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        []string           `json:"type,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"` // of a string
	Minimum     *int               `json:"minimum,omitempty"` // of a number
	Maximum     *int               `json:"maximum,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Closed      *bool              `json:"additionalProperties,omitempty"` // false: there are no other keys
	Required    []string           `json:"required,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
}

// NewSchema returns the schema of a file. The example is one with every key, most of
// them commented out, and explained by the comments above them.
func NewSchema(example []byte, chips map[string]Chip) (*Schema, error) {
	whole := optionForm.ReplaceAllString(uncomment(string(example)), "$1$2")
	d := &decoder{file: "example", schemas: map[string]*Schema{}}
	root := d.parse([]byte(whole))
	if root != nil {
		if s := d.section(root, ""); s != nil {
			s.config(&Config{}, chips)
		}
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	d.describe(root, "", "")
	schema := d.schemas[""]
	schema.Version, schema.Title = "http://json-schema.org/draft-07/schema#", "gateway.yaml"
	schema.Properties["sensors"].MinItems, schema.Properties["sensors"].MaxItems = 1, maxSensors
	schema.Properties["motors"].MaxItems = maxMotors
	schema.Properties["alarms"].MaxItems = maxAlarms
	schema.Properties["uplink"].Properties["brokers"].MinItems = 1
	return schema, nil
}

// In an example, a line with nothing, or more than one blank, behind the "#" is one to
// uncomment; the others are text.
var exampleForm = regexp.MustCompile(`(?m)^#([a-z]|  +[^ ])`)

// optionForm is a key that stays commented out in such an example, because it needs
// another section too.
var optionForm = regexp.MustCompile(`(?m)^( +)# ([a-z_]+: [^ ]+)$`)

func uncomment(text string) string { return exampleForm.ReplaceAllString(text, "$1") }

// describe takes the comments above keys for their descriptions. A comment also describes
// the following keys that have none. If a mapping's first key has none, the comment above
// the mapping describes it.
func (d *decoder) describe(n *yaml.Node, path, said string) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			d.describe(item, path+"[]", said)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := strings.TrimPrefix(path+"."+key.Value, ".")
			comment := key.HeadComment
			if i == 0 && comment == "" {
				comment = n.HeadComment // yaml.v3 gives it the whole mapping
			}
			if comment != "" {
				said = plain(comment)
			}
			if s := d.schemas[at]; s != nil && s.Description == "" {
				s.Description = said
			}
			d.describe(value, at, said)
		}
	}
}

// plain is the last paragraph of a comment, in one line.
func plain(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	var words []string
	for line := range strings.Lines(paragraphs[len(paragraphs)-1]) {
		words = append(words, strings.Fields(strings.TrimLeft(line, "# "))...)
	}
	return strings.Join(words, " ")
}

var indexForm = regexp.MustCompile(`\[[0-9]+\]`)

// objectSchema returns what the mapping at path can have in it; nil if none is drawn up.
func (d *decoder) objectSchema(path string) *Schema {
	if d.schemas == nil {
		return nil
	}
	s := d.at(indexForm.ReplaceAllString(path, "[]"))
	if s.Properties == nil {
		*s = Schema{Type: []string{"object"}, Properties: map[string]*Schema{}, Closed: new(bool)}
	}
	return s
}

// at returns the schema of a path, an empty one at first.
func (d *decoder) at(path string) *Schema {
	if d.schemas[path] == nil {
		d.schemas[path] = &Schema{}
	}
	return d.schemas[path]
}

// draw says what a key can be. A later call overrides an earlier one, since it knows more.
func (s *section) draw(key string, draw func(*Schema)) {
	if s.schema == nil {
		return
	}
	p := s.decoder.at(indexForm.ReplaceAllString(s.at(key), "[]"))
	s.schema.Properties[key] = p
	if p.Properties == nil { // else it is known to be a mapping
		draw(p)
	}
}

// choice says which words a key can be.
func (s *section) choice(key string, words []string) {
	s.draw(key, func(p *Schema) { p.Enum = words })
}

// must says which keys must be there.
func (s *section) must(keys ...string) {
	if s.schema != nil {
		s.schema.Required = keys
	}
}

// listSchema says that a key is a list.
func (s *section) listSchema(key string) func(*Schema) {
	return func(p *Schema) {
		items := s.decoder.at(indexForm.ReplaceAllString(s.at(key), "[]") + "[]")
		if items.Type == nil {
			anyScalar(items)
		}
		*p = Schema{Type: []string{"array"}, Items: items}
	}
}

// anyScalar is a value that is taken as it is written. One that has words to choose
// from keeps them.
func anyScalar(p *Schema) {
	if p.Enum == nil && p.Type == nil {
		p.Type = []string{"string", "number", "boolean"}
	}
}

func truthSchema(p *Schema) {
	*p = Schema{Type: []string{"boolean", "string"}, Pattern: "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"}
}

func numberSchema(limit int) func(*Schema) {
	return func(p *Schema) {
		*p = Schema{Type: []string{"integer", "string"}, Pattern: phrase.NumberForm.String(), Minimum: new(int), Maximum: &limit}
	}
}

// durationSchema has what [time.ParseDuration] takes, 0 without a unit among it.
func durationSchema(p *Schema) {
	*p = Schema{Type: []string{"string", "integer"}, Pattern: `^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`, Minimum: new(int), Maximum: new(int)}
}

// Keys returns the names of what is in a mapping, in order.
func (s *Schema) Keys() []string { return slices.Sorted(maps.Keys(s.Properties)) }
