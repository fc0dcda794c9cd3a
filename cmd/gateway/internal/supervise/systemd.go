// Package supervise finds out whether the gateway's parts still work, by counters
// that grow, and reports it: to /healthz, and to systemd.
//
// It refuses to know what the parts are.
package supervise

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Systemd is systemd, if it started the gateway with Type=notify; else the methods
// do nothing. Only this file knows it.
type Systemd struct{ Log *slog.Logger }

// Ready says that the gateway can be used, with its status for people.
func (s Systemd) Ready(status string) { s.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (s Systemd) status(text string)  { s.notify("STATUS=" + text) }

// Stopping says that the gateway is about to end.
func (s Systemd) Stopping() { s.notify(daemon.SdNotifyStopping) }

func (s Systemd) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.Log.Warn("systemd cannot be notified", "state", state, "err", err)
	}
}

// Watchdog feeds systemd's watchdog as long as every one of beats grows, and sends
// it the status when that changes. When a part has stopped the watchdog is not fed,
// and systemd restarts the gateway.
func (s Systemd) Watchdog(ctx context.Context, status func() string, beats map[string]func() int64) {
	every := 10 * time.Second
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.Log.Warn("systemd's watchdog cannot be used", "err", err)
	}
	if timeout > 0 {
		every = timeout / 4 // beats come once a second at least
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, sent := map[string]int64{}, ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		alive := true
		for name, beat := range beats {
			now := beat()
			alive = alive && now != last[name]
			last[name] = now
		}
		if timeout > 0 && alive {
			s.notify(daemon.SdNotifyWatchdog)
		}
		if now := status(); now != sent {
			s.status(now)
			sent = now
		}
	}
}
