package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/codec"
)

// TestUnreadableBlocks holds that blocks that can never be stored hold up nothing behind them:
// they are refused, counted, and said once.
func TestUnreadableBlocks(t *testing.T) {
	broker, h := startBroker(t), newHub(t, t.TempDir())
	var log bytes.Buffer
	h.g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	h.refuse = func(b fleet.Blocks) error {
		if b.First < 300 {
			return fmt.Errorf("block 0: %w", codec.ErrBlock)
		}
		return nil
	}
	stop := h.run(broker)
	d := h.startDevice(broker, "n1", nil)
	for first := uint32(1); first <= 301; first += 100 {
		up := upOf(first-1, first, first+99)
		if first < 300 {
			up = slices.Concat(up, up) // as of two sensors
		}
		d.send(fleet.Up, up)
	}
	h.await("what is behind them", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
	stop()
	if c := h.g.Counts(); c.Refused != 3 || c.Unstored != 0 || c.Readings != 100 || h.g.Sites()[0].Connections != 1 {
		t.Errorf("%+v, %+v", c, h.g.Sites())
	}
	if text := log.String(); strings.Count(text, "cannot be read") != 1 || !strings.Contains(text, "readings of pi-7, with the numbers 1 to 100, cannot be read, and are not stored; fix: ") || !strings.Contains(text, "gateway hub revoke pi-7") {
		t.Errorf("it is said so:\n%s", text)
	}
}

// TestMissingLater holds that it is found out what is missing as soon as the log can be read again,
// and after somebody has said so; and that a warning says once that it cannot be.
func TestMissingLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, t.TempDir())
		var log bytes.Buffer
		h.g.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		ctx, cancel := context.WithCancel(t.Context())
		go h.g.askMissing(ctx)
		defer cancel()
		r := h.g.remote(pi)
		next := uint32(1)
		for _, step := range []struct {
			unsure         error
			later          bool
			checks, warned int
		}{
			{errors.New("permission denied"), false, 1, 1}, {errors.New("permission denied"), false, 2, 1},
			{nil, false, 3, 1}, {nil, false, 3, 1}, {nil, true, 4, 1}, {errors.New("an old disk"), true, 5, 2}, {nil, false, 6, 2},
		} {
			h.unsure = step.unsure
			if step.later {
				r.CheckLater()
			}
			parts, err := fleet.ParseUp(upOf(next-1, next, next+99))
			if err != nil {
				t.Fatal(err)
			}
			r.durable(parts[0], false)
			next += 100
			synctest.Wait()
			if n := strings.Count(log.String(), "cannot find out"); h.checks != step.checks || n != step.warned {
				t.Errorf("%+v: it was tried %d times, and said %d times", step, h.checks, n)
			}
		}
	})
}
