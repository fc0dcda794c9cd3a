package metrics

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A sample of the text format 0.0.4 is a name, labels, a space and a value. In a
// label's value the backslash, the quote and the line feed are escaped, nothing
// else is. Before a metric's samples stand its HELP and its TYPE.
var (
	metricHead  = regexp.MustCompile(`^# HELP (\S+) [A-Z][^\\\n]+\.\n# TYPE (\S+) (gauge|counter|histogram)\n`)
	metricName  = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	metricLabel = regexp.MustCompile(`^([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\[\\"n])*"`)
	metricValue = regexp.MustCompile(`^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?|NaN|[+-]Inf)$`)
)

// metricSample is a parsed line.
type metricSample struct {
	name   string
	labels string // as written, without le
	le     string // as written, of a bucket
	value  string
}

func parseMetric(t *testing.T, line string) (m metricSample) {
	t.Helper()
	m.name = metricName.FindString(line)
	rest := line[len(m.name):]
	var labels, names []string
	if strings.HasPrefix(rest, "{") {
		for sep := "{"; strings.HasPrefix(rest, sep); sep = "," {
			rest = rest[1:]
			found := metricLabel.FindStringSubmatch(rest)
			if found == nil {
				t.Fatalf("no label at %q in %q", rest, line)
			}
			rest = rest[len(found[0]):]
			if slices.Contains(names, found[1]) {
				t.Fatalf("label %s twice in %q", found[1], line)
			}
			if names = append(names, found[1]); found[1] == "le" {
				m.le = strings.Trim(found[0][3:], `"`)
			} else {
				labels = append(labels, found[0])
			}
		}
		if !strings.HasPrefix(rest, "}") {
			t.Fatalf("labels do not end at %q in %q", rest, line)
		}
		rest = rest[1:]
	}
	m.labels = strings.Join(labels, ",")
	var ok bool
	if m.value, ok = strings.CutPrefix(rest, " "); m.name == "" || !ok || !metricValue.MatchString(m.value) {
		t.Fatalf("not a metric: %q", line)
	}
	return m
}

// parseMetrics holds a text against the rules of Prometheus: metrics that begin
// with their HELP and TYPE, once, and have samples, none twice; counters that
// count; histograms that are cumulative and complete. It returns the values by
// what stands before them.
func parseMetrics(t *testing.T, text string) map[string]string {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line does not end")
	}
	values, seen := map[string]string{}, map[string]bool{}
	for rest := text; rest != ""; {
		head := metricHead.FindStringSubmatch(rest)
		if head == nil || head[1] != head[2] {
			t.Fatalf("no metric begins at %.100q", rest)
		}
		name, kind := head[1], head[3]
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
		rest = rest[len(head[0]):]
		var samples []metricSample
		for rest != "" && !strings.HasPrefix(rest, "#") {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			m := parseMetric(t, line)
			key := strings.TrimSuffix(line, " "+m.value)
			if _, twice := values[key]; twice {
				t.Errorf("%s twice", key)
			}
			values[key] = m.value
			samples = append(samples, m)
		}
		if len(samples) == 0 {
			t.Errorf("%s has no samples", name)
		}
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
		if kind == "histogram" {
			checkHistogram(t, name, samples)
			continue
		}
		for _, m := range samples {
			if m.name != name || m.le != "" || kind == "counter" && !(metricNumber(t, m.value) >= 0) {
				t.Errorf("the %s %s has the sample %+v", kind, name, m)
			}
		}
	}
	return values
}

func checkHistogram(t *testing.T, name string, samples []metricSample) {
	t.Helper()
	bound, count := math.Inf(-1), 0.0
	for len(samples) > 0 && samples[0].name == name+"_bucket" {
		b := samples[0]
		if metricNumber(t, b.le) <= bound || metricNumber(t, b.value) < count {
			t.Errorf("%s: bucket le=%q with %s after le=%v with %v", name, b.le, b.value, bound, count)
		}
		bound, count, samples = metricNumber(t, b.le), metricNumber(t, b.value), samples[1:]
	}
	if !math.IsInf(bound, 1) {
		t.Errorf("%s ends at le=%v", name, bound)
	}
	if len(samples) != 2 || samples[0].name != name+"_sum" || samples[1].name != name+"_count" || metricNumber(t, samples[1].value) != count {
		t.Errorf("%s: after the buckets with %v stand %+v", name, count, samples)
	}
}

func metricNumber(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
