package setup

import (
	"fmt"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/motor"
	"sensorgateway/gateway/pins"
)

// OutputsOff returns the command that drives all motors' outputs off, whatever a process
// that was killed has left: it is what the service does after every stop.
func OutputsOff(here Installed) *cobra.Command {
	path := ""
	cmd := &cobra.Command{
		Use:   "outputs-off",
		Short: "Drive all motors' outputs off, as after a gateway that was killed",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := here.Read(path)
			if err != nil {
				return fmt.Errorf("no output was driven off: %w", err)
			}
			var specs []motor.Spec
			for _, m := range cfg.Motors {
				specs = append(specs, m.Output)
			}
			if err := motor.AllOff(specs, pins.System()); err != nil {
				return fmt.Errorf("not all outputs could be driven off: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration `file` (default "+config.DefaultFile+")")
	return cmd
}
