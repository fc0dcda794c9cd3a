package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is systemd, if it started us with Type=notify; else nothing of this
// does anything. This file is the only one that knows it.
type supervisor struct{ log *slog.Logger }

func (s supervisor) ready(status string) { s.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (s supervisor) status(text string)  { s.notify("STATUS=" + text) }
func (s supervisor) stopping()           { s.notify(daemon.SdNotifyStopping) }

func (s supervisor) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd cannot be told", "state", state, "err", err)
	}
}

// watchdog feeds systemd's watchdog as long as every one of beats grows, and
// tells it the status. A part that stands still starves it, and systemd starts
// the process anew.
func (s supervisor) watchdog(ctx context.Context, status func() string, beats ...func() int64) {
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
	last, told := make([]int64, len(beats)), ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		alive := true
		for i, beat := range beats {
			now := beat()
			alive = alive && now != last[i]
			last[i] = now
		}
		if timeout > 0 && alive {
			s.notify(daemon.SdNotifyWatchdog)
		}
		if now := status(); now != told {
			s.status(now)
			told = now
		}
	}
}
