// Package console has the subcommands for people on a terminal: they watch a gateway,
// chat in its operators' room and command its motors. It also has what all subcommands
// share.
//
// It refuses to know how a gateway is built, configured and run: no sensors, no
// hardware, no YAML, no directories of a service. What a command needs of these,
// main passes in.
package console

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/phrase"
)

// Env is what a command has of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool // Stdout is one
	Getenv         func(string) string
	Version        string // of the program
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// NoArgs refuses arguments that are no flags.
func NoArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case !cmd.HasSubCommands():
		return UsageError{fmt.Errorf("%s takes no argument such as %s: see %[1]s --help", cmd.CommandPath(), phrase.Quote(args[0]))}
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	if near := phrase.Nearest(args[0], names); near != "" {
		return UsageError{fmt.Errorf("unknown command %s: did you mean %s %s?", phrase.Quote(args[0]), cmd.CommandPath(), near)}
	}
	return UsageError{fmt.Errorf("unknown command %s: see %s --help", phrase.Quote(args[0]), cmd.CommandPath())}
}

// Help returns the command that shows the help of another, and refuses one that is not there.
func Help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return UsageError{err}
			}
			if err := NoArgs(found, rest); err != nil {
				return err
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// FlagError explains a flag that cannot be understood.
func FlagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return UsageError{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := phrase.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return UsageError{fmt.Errorf("%w: did you mean --%s?", err, near)}
	}
	return UsageError{err}
}
