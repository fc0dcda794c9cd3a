// Package syntax reads a file of YAML, and says in plain words where it is none. It refuses to
// know what the keys mean.
package syntax

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"sensorgateway/cmd/gateway/internal/phrase"

	"gopkg.in/yaml.v3"
)

// MaxSize is how long a file can be, in bytes.
const MaxSize = 1 << 20

// Parse returns the only document in data, or why there is none, and on which line.
func Parse(data []byte) (root *yaml.Node, line int, problem string) {
	if len(data) > MaxSize {
		return nil, 1, "larger than 1 MiB (name the right file: no configuration is that large)"
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // editors on Windows write it
	if n := validPrefix(data); n < len(data) {
		return nil, 1 + bytes.Count(data[:n], []byte("\n")), "not UTF-8 text (save the file as UTF-8)"
	}
	first, second, err := parseDocuments(data)
	switch {
	case err != nil:
		line := syntaxLine(data, err)
		if tabIndented(data, line) {
			return nil, line, "a tab in the indentation (use spaces)"
		}
		return nil, line, explainSyntax(syntaxText(err))
	case first == nil || first.Content[0].Tag == "!!null":
		return nil, 1, "the file is empty (it needs at least sensors, each with a name and a chip)"
	case second != nil:
		return nil, second.Line, "a second document (a configuration is one: remove the ---)"
	}
	return first.Content[0], 0, ""
}

// validPrefix returns how many bytes of data are UTF-8 before the first that is not.
func validPrefix(data []byte) int {
	n := 0
	for n < len(data) {
		r, size := utf8.DecodeRune(data[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// parseDocuments returns the first two documents in data, nil where there is none.
func parseDocuments(data []byte) (first, second *yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var documents [2]*yaml.Node
	for i := range documents {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		documents[i] = &n
	}
	return documents[0], documents[1], nil
}

var syntaxForm = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxText returns the message of yaml.v3 in err, without the line.
func syntaxText(err error) string {
	return strings.TrimPrefix(err.Error(), syntaxForm.FindString(err.Error()))
}

// syntaxLine returns the line on which data goes wrong with err. yaml.v3 names
// the line where the surrounding block begins, sometimes one less, or none, so
// it is the line with which the error first shows when the file is cut after it.
func syntaxLine(data []byte, err error) int {
	line := 1
	if m := syntaxForm.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	line = min(max(line, 1), len(lines)) // to yaml.v3, a lone carriage return ends a line too
	const affordable = 64 << 10          // bytes: a larger one would take seconds on a small machine
	if len(data) > affordable {
		return line
	}
	return line + sort.Search(len(lines)-line, func(i int) bool {
		_, _, prefixErr := parseDocuments(bytes.Join(lines[:line+i], nil))
		return prefixErr != nil && syntaxText(prefixErr) == syntaxText(err)
	})
}

// tabIndented reports whether the indentation of the line has a tab in it.
func tabIndented(data []byte, line int) bool {
	text := bytes.SplitAfter(data, []byte("\n"))[line-1]
	return bytes.ContainsRune(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t')
}

// explainSyntax says in plain words what yaml.v3's text means.
func explainSyntax(text string) string {
	const quoting = `(quote a value that begins with one of [ ] { } * & ! | > % @ or a backquote)`
	for _, e := range []struct{ yaml, plain string }{
		{"mapping values are not allowed", `a ":" where none can be (the line above may lack its ":", this one may be indented wrongly, or a value with ": " in it needs quotes)`},
		{"could not find expected ':'", `no ":" after the key on this line or the one above (write key: value, with a blank after the colon)`},
		{"did not find expected key", `no key where one must be (indent it like the keys above it; a quote in a quoted value is doubled)`},
		{"did not find expected '-' indicator", `neither a new list entry nor a key of the last one (begin an entry with "- ", and indent its keys alike)`},
		{"did not find expected ',' or", `a list in [ ] or a mapping in { } that does not end (add the missing bracket or comma)`},
		{"did not find expected node content", `no value where one must be ` + quoting},
		{"cannot start any token", `a character that cannot begin a value ` + quoting},
		{"found unexpected end of stream", `a quote is not closed (add the missing one)`},
		{"found unknown escape character", `an unknown \ sequence in "…" (write '…' instead)`},
		{"control characters are not allowed", `a control character (remove it)`},
		{"unknown anchor", `anchors and aliases (&x, *x) are not supported (write the value out)`},
		{"did not find expected <document start>", `more follows after the end of the document (remove it)`},
		{"exceeded max depth", `lists or mappings nested thousands deep (name the right file: this is no configuration)`},
	} {
		if strings.Contains(text, e.yaml) {
			return e.plain
		}
	}
	return "not YAML: " + phrase.Quote(text) + " (write key: value)"
}
