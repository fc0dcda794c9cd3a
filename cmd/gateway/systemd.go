package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is systemd, if it started the gateway with Type=notify; else nothing
// of this does anything. Only this file knows systemd.
type supervisor struct{ log *slog.Logger }

func (s supervisor) ready(status string) { s.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (s supervisor) status(text string)  { s.notify("STATUS=" + text) }
func (s supervisor) stopping()           { s.notify(daemon.SdNotifyStopping) }

func (s supervisor) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd cannot be notified", "state", state, "err", err)
	}
}

// watchdog feeds systemd's watchdog as long as every one of beats grows, and sends
// it the status when that changes. When a part has stopped the watchdog is not fed,
// and systemd restarts the gateway.
func (s supervisor) watchdog(ctx context.Context, status func() string, beats map[string]func() int64) {
	every := 10 * time.Second
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog cannot be used", "err", err)
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
