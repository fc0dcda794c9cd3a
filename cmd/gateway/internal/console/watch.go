package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

const (
	redrawEvery  = 200 * time.Millisecond
	measureEvery = 5 * time.Second // the round trip
)

// Watch shows the readings of a gateway.
func Watch(env Env) *cobra.Command {
	var r remote
	var subprotocol subprotocolFlag
	cmd := &cobra.Command{
		Use:   "watch URL",
		Short: "Show the readings of a gateway as they come",
		Long: "Shows the readings of a gateway: a live table on a terminal, else one JSON object a line.\n" +
			"The URL may end with /sensors/NAME. A connection that is lost is made again, and what was missed\n" +
			"meanwhile is recovered as far as the gateway has kept it: those lines have \"historical\":true. The first\n" +
			"line after a loss says how many readings of its sensor are gone: \"lost\":N. An alarm that is raised,\n" +
			"acknowledged or cleared is a line with \"kind\":\"alarm\"; on a terminal, those that are raised are below the\n" +
			"table. A server that is no gateway and knows no subprotocol is understood too, if it sends readings.v1 or\n" +
			"readings as JSON.",
		Example: "  gateway watch localhost:8765\n  gateway watch wss://pi.local:8443/sensors/indoor --ca ca.pem | jq .temp",
		Args:    oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := r.options(args[0])
			if err != nil {
				return err
			}
			if o.Subprotocol, err = subprotocol.option(); err != nil {
				return UsageError{err}
			}
			if o.Subprotocol != "" {
				o.Subscribe = []string{wire.TopicEvents}
			}
			if env.Terminal && env.Getenv("TERM") != "dumb" {
				o.PingEvery = measureEvery
				err = watchTable(cmd.Context(), o, env.Stdout, env.Getenv("NO_COLOR") == "")
			} else {
				err = watchLines(cmd.Context(), o, env.Stdout, env.Stderr)
			}
			return r.explain(err)
		},
	}
	r.flags(env, cmd.Flags())
	subprotocol.flag(cmd.Flags())
	return cmd
}

// watchTable draws a table on a terminal, again and again, until ctx ends.
func watchTable(ctx context.Context, o client.Options, terminal io.Writer, colour bool) error {
	var mu sync.Mutex
	changes := make(chan struct{}, 1)
	b := board{url: o.URL, asked: o.Subprotocol, flagged: o.Subprotocol == wire.ReadingsV2}
	o.Handle = func(e client.Event) {
		mu.Lock()
		defer mu.Unlock()
		b.apply(e, time.Now())
		if changesAlarms(e) {
			select {
			case changes <- struct{}{}:
			default: // they are asked for soon
			}
		}
	}
	s := screen{w: terminal}
	draw := func() error {
		mu.Lock()
		lines := b.table(time.Now(), colour)
		mu.Unlock()
		return s.draw(lines)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		followAlarms(ctx, o, changes, func(list alarmList, err error) {
			mu.Lock()
			defer mu.Unlock()
			b.alarms, b.alarmsErr = list.Alarms, err
		})
	}()
	defer func() { cancel(); <-followed }()
	ended := make(chan error, 1)
	go func() { ended <- client.New(o).Run(ctx) }()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	err := draw()
	for err == nil {
		select {
		case <-tick.C:
			err = draw()
		case end := <-ended:
			return errors.Join(draw(), end)
		}
	}
	cancel()
	return errors.Join(err, <-ended)
}

// screen is a part of a terminal, where each drawing replaces the one before.
type screen struct {
	w    io.Writer
	rows int // of the last drawing
}

// draw uses ECMA-48 and xterm: cursor up, autowrap off and on, and erase to the
// end of the line and of the screen. Nothing lasts beyond one write.
func (s *screen) draw(lines []string) error {
	var b strings.Builder
	if s.rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.rows)
	}
	b.WriteString("\r\x1b[?7l")
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J\x1b[?7h")
	s.rows = len(lines)
	_, err := io.WriteString(s.w, b.String())
	return err
}
