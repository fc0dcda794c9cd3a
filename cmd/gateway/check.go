package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
)

// checkCommand checks a configuration as a start does, and starts nothing.
func checkCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration without starting anything",
		Long: "Checks a configuration file (default " + config.DefaultFile + ") and the certificate that it names, as a start does,\n" +
			"and prints all that is wrong, with line and fix. The exit status is 78 then. It touches no chip, pin or socket.",
		Example: "  gateway check && sudo systemctl restart gateway",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return console.UsageError{Err: errors.New("check takes one file")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := serveOptions{config: strings.Join(args, "")}.configuration(nil) // FILE, or the default one
			if err != nil {
				return err
			}
			g := running{cfg: cfg, log: slog.New(slog.DiscardHandler)}
			if err := g.buildCertificates(); err != nil {
				return config.Error{{Text: err.Error()}} // also where a start is tried again
			}
			_, err = fmt.Fprintf(stdout, "%s is valid: sensors %d, motors %d, listens on %s\n", cfg.File, len(cfg.Sensors), len(cfg.Motors), cfg.Listen)
			return err
		},
	}
}
