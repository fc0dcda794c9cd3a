package metrics

import (
	"strconv"
	"strings"
)

// expositionText is a text in the text exposition format of Prometheus, version 0.0.4.
type expositionText struct {
	b      []byte
	name   string          // of the family that is written
	head   string          // of it, until its first sample
	hidden map[string]bool // labels whose samples are left out
}

// family begins a metric with all its samples. One without samples is not
// written at all.
func (t *expositionText) family(name, kind, help string) {
	t.name = name
	t.head = "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n"
}

// sample adds a value to the family; labels as [label] returns them, separated
// by commas.
func (t *expositionText) sample(suffix, labels string, value float64) {
	if first, _, _ := strings.Cut(labels, ","); t.hidden[first] {
		return
	}
	t.b = append(append(append(t.b, t.head...), t.name...), suffix...)
	t.head = ""
	if labels != "" {
		t.b = append(append(append(t.b, '{'), labels...), '}')
	}
	t.b = strconv.AppendFloat(append(t.b, ' '), value, 'f', -1, 64)
	t.b = append(t.b, '\n')
}

func (t *expositionText) gauge(name, help string, value float64) {
	t.family(name, "gauge", help)
	t.sample("", "", value)
}

func (t *expositionText) counter(name, help string, value float64) {
	t.family(name, "counter", help)
	t.sample("", "", value)
}

// optional writes a value by calling write, if it is there.
func optional[T uint64 | float64](write func(name, help string, value float64), name, help string, value *T) {
	if value != nil {
		write(name, help, float64(*value))
	}
}

// label returns name="value", escaped.
func label(name, value string) string {
	return name + `="` + labelEscapes.Replace(value) + `"`
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// shortest returns the number that is written as f is: 21.37, not 21.3700008.
func shortest(f float32) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64) // parses what it formatted
	return v
}
