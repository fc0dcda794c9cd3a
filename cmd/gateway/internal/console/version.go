package console

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"sensorgateway/wire"
)

// VersionText is a version with what it was built for and with.
func VersionText(version string) string {
	return fmt.Sprintf("%s %s/%s %s", version, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// Version shows the program's version.
func Version(env Env, version string) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text := "gateway version " + VersionText(version)
			if asJSON {
				text = string(wire.JSON(struct {
					Version string `json:"version"`
					OS      string `json:"os"`
					Arch    string `json:"arch"`
					Go      string `json:"go"`
				}{version, runtime.GOOS, runtime.GOARCH, runtime.Version()}))
			}
			_, err := fmt.Fprintln(env.Stdout, text)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON, for programs")
	return cmd
}
