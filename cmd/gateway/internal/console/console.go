// Package console has the subcommands for people: they watch a gateway, chat in
// its operators' room, command its motors, export its log of readings, and make a
// certificate for it.
//
// It refuses to know how a gateway is built, configured and run: no sensors, no
// hardware, no YAML, no directories of a service. What a command needs of these,
// main passes in.
package console

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Env is what a command has of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool // Stdout is one
	Getenv         func(string) string
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// NoArgs refuses arguments that are no flags.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError{fmt.Errorf("unknown command %q: see gateway --help", args[0])}
	}
	return nil
}
