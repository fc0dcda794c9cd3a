package rebind

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
)

// Command returns the command for root and for the helper unit.
func Command(env console.Env) *cobra.Command {
	var requests, root string
	cmd := &cobra.Command{
		Use:   "rebind BUS",
		Short: "Start the adapter of a stuck I²C bus anew (needs root)",
		Long: "Takes the adapter of a bus from its driver and gives it back, which starts it anew. A line that a chip holds\n" +
			"stays low; what helps then is to take the chip's power away. No program may have the bus open: stop the\n" +
			"gateway first. For a gateway that runs, with \"bus_recovery: [rebind]\" in its configuration, the unit\n" +
			"gateway-rebind.service does it.",
		Example: "  sudo systemctl stop gateway && sudo gateway rebind 1",
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) == 1) == (requests == "") {
				return nil
			}
			return console.UsageError{Err: errors.New("rebind takes one bus, such as 1: see gateway rebind --help")}
		},
		RunE: func(_ *cobra.Command, args []string) error {
			say := func(format string, args ...any) { fmt.Fprintf(env.Stdout, format+"\n", args...) }
			err := error(nil)
			if requests != "" {
				err = serve(root, requests, say)
			} else {
				var driver string
				number := numberOf(args[0])
				if driver, err = adapter(root, number); err == nil {
					say("i2c-%s was rebound to its driver %s", number, driver)
				}
			}
			if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
				return fmt.Errorf("%w; fix: run it with sudo", err)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&requests, "requests", "", "carry out the requests in a `directory`, as the helper unit does")
	f.StringVar(&root, "root", "/", "`directory` to look for /sys and /proc in")
	_ = f.MarkHidden("root") // for tests; it fails only for an unknown flag
	return cmd
}
