package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is everything that is wrong with a configuration, in the order
// of the file. It is never empty.
type Error []Problem

// Problem is one thing that is wrong.
type Problem struct {
	File string // "" if it is no file's, but a flag's
	Line int    // from 1; 0 if it concerns the file, not its content
	Text string // what, why and, in parentheses, the fix

	column int
}

// maxProblems bounds what a file that is no configuration at all can print.
const maxProblems = 100

// Error returns a line for each problem: "gateway.yaml:4: unknown key …".
func (e Error) Error() string {
	shown := e[:min(len(e), maxProblems)]
	lines := make([]string, 0, len(shown)+1)
	for _, p := range shown {
		lines = append(lines, p.String())
	}
	if more := len(e) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more problems", e[0].File, more))
	}
	return strings.Join(lines, "\n")
}

// String returns the problem in one line.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// sort puts the problems in the order of the file.
func (e Error) sort() {
	slices.SortStableFunc(e, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.column, b.column))
	})
}
