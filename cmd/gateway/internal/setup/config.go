package setup

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/configs"
)

// Config prints what helps to write a configuration.
func Config(stdout io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print an example of the configuration, or its schema for editors",
		Example: "  gateway config example\n" +
			"  gateway config schema > gateway.schema.json",
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "example",
		Short: "Print the configuration that is installed: every key, with what it is for",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := stdout.Write(configs.Example)
			return err
		},
	}, &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, with which editors complete and check it",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.NewSchema(configs.Example, chips.Table())
			if err != nil {
				return err
			}
			e := json.NewEncoder(stdout)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(schema)
		},
	})
	return cmd
}
