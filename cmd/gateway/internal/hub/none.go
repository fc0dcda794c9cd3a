//go:build nohub

// Package hub has a command that says that this build has no hub: a build for small
// machines leaves out what only a hub needs.
package hub

import (
	"errors"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
)

// Command returns that command. It takes any arguments.
func Command(console.Env, string) *cobra.Command {
	return &cobra.Command{
		Use:                "hub",
		Short:              "Not in this build for small machines: run the hub of a fleet on another",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this build, for machines as small as a Raspberry Pi Zero, has no hub; fix: run the hub on a machine with the package for arm64 or amd64, or build it: scripts/build linux-armv7")
		},
	}
}
