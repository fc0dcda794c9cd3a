package field

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/sensors"
	"sensorgateway/sensors/trace"
)

// OpenReplay opens a recording that is to be served, and returns the configuration of
// its sensors besides, as a file would have it.
func OpenReplay(path string) (p *trace.Player, configuration []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, noRecording(err)
	}
	defer f.Close()
	h, calls, err := trace.Read(f)
	if err != nil {
		return nil, nil, noRecording(fmt.Errorf("%s: %w", path, err))
	}
	var b strings.Builder
	b.WriteString("sensors:\n")
	for _, c := range h.Chips {
		var also []string
		for _, q := range c.Also {
			also = append(also, strconv.Quote(q))
		}
		mux := ""
		if c.Mux != nil {
			mux = fmt.Sprintf("mux: {address: %d, channel: %d}, ", c.Mux.Address, c.Mux.Channel)
		}
		fmt.Fprintf(&b, "  - {name: %q, chip: %q, bus: %q, %saddress: %d, interval: %dms, stuck_after: %dms, also: [%s]}\n",
			c.Name, c.Chip, c.Bus, mux, c.Address, c.IntervalMS, c.StuckMS, strings.Join(also, ", "))
	}
	return trace.NewPlayer(h, calls, true), []byte(b.String()), nil
}

// noRecording says what helps when a recording cannot be read.
func noRecording(err error) error {
	return fmt.Errorf("no recording: %w; fix: name a whole file that gateway record has written, and that this user may read", err)
}

// replayCommand runs the drivers on a trace and compares.
func replayCommand(env console.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "replay FILE",
		Short: "Run the drivers on a recording, as fast as they go, and compare with what was recorded",
		Long: "Runs the drivers of this program on what gateway record wrote, on any machine, and compares what they make\n" +
			"of it with what was made when it was recorded, bit by bit. The exit status is 1 if something differs.",
		Example: "  gateway replay bus.trace",
		Args:    oneFile,
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return noRecording(err)
			}
			defer f.Close()
			h, r, err := trace.Run(f, sensors.Chips())
			if err != nil {
				return noRecording(fmt.Errorf("%s: %w", args[0], err))
			}
			out := printer{w: env.Stdout}
			out.printf("recorded %s by gateway %s\n", time.UnixMilli(h.Time).Format(time.RFC3339), h.Gateway)
			for _, c := range h.Chips {
				out.printf("  %s  %s 0x%02x on %s, every %v\n", c.Name, c.Chip, c.Address, c.Wires(), time.Duration(c.IntervalMS)*time.Millisecond)
			}
			for _, d := range r.Differences {
				out.printf("%s\n", d)
			}
			out.printf("%d calls of drivers, %d of them failed when they were recorded: %d end otherwise now", r.Calls, r.Failed, r.Different)
			if r.Skipped > 0 {
				out.printf(", %d could not be made", r.Skipped)
			}
			out.printf("\n")
			return out.end(r.Different > 0)
		},
	}
}
