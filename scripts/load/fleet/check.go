//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

const (
	maxWrong = 20 // errors that are reported
	// tries is how often the hubs' logs are compared: when a hub is stopped, the broker keeps
	// what the hub has not stored yet, and the hub gets it after the next start.
	tries = 5
)

// restart stops the measurements and starts each gateway again: this turns incomplete
// blocks into complete ones, which are sent.
func (m *measurement) restart(ctx context.Context) error {
	for _, g := range m.gateways {
		g.rest()
	}
	for _, g := range m.gateways {
		if err := g.stop(); err != nil {
			return err
		}
		if err := g.start(); err != nil {
			return err
		}
		if err := wait(ctx, pace); err != nil {
			return err
		}
	}
	return await(ctx, shipTime, func() error {
		n, unsent := 0, int64(0)
		for _, g := range m.gateways {
			if s := g.shipper.Status(); s.Unsent > 0 {
				n, unsent = n+1, unsent+s.Unsent
			}
		}
		if n > 0 {
			return fmt.Errorf("%d gateways have not sent %d readings", n, unsent)
		}
		return nil
	})
}

// awaitStored waits until the newest reading of each gateway is durable at each hub.
func (m *measurement) awaitStored(ctx context.Context) error {
	newest := map[string]int64{}
	for _, g := range m.gateways {
		last, err := lastOf(filepath.Join(g.dir, logDir))
		if err != nil {
			return err
		}
		newest[g.name] = last
	}
	for _, h := range m.hubs {
		err := await(ctx, shipTime, func() error {
			o, err := h.overview(ctx)
			if err != nil {
				return err
			}
			there := 0
			for _, g := range o.Gateways {
				if g.Stored >= newest[g.Name] {
					there++
				}
			}
			if there < len(m.gateways) {
				return fmt.Errorf("%s has the newest reading of %d gateways of %d", h.name, there, len(m.gateways))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastOf returns the time of the last record in a log.
func lastOf(dir string) (last int64, err error) {
	for _, s := range sensors {
		all, err := recordsIn(dir, s.Name)
		if err != nil {
			return 0, err
		}
		if len(all) > 0 {
			last = max(last, all[len(all)-1].UnixMilli)
		}
	}
	return last, nil
}

// checkDashboards checks what they got, once readings lost on the line came from the log.
func (m *measurement) checkDashboards(ctx context.Context) error {
	logs := map[*gateway][][]wire.Record{}
	for _, d := range m.dashboards {
		for _, s := range sensors[len(logs[d.at]):] {
			log, err := recordsIn(filepath.Join(d.at.dir, logDir), s.Name)
			if err != nil {
				return err
			}
			logs[d.at] = append(logs[d.at], log)
		}
	}
	check := func() (errs []error) {
		for _, d := range m.dashboards {
			for i, s := range sensors {
				if err := d.check(i, logs[d.at][i]); err != nil {
					errs = append(errs, fmt.Errorf("the dashboard of %s of %s at %s: %w", s.Name, d.at.name, d.hub.name, err))
				}
			}
		}
		return errs
	}
	_ = await(ctx, patience, func() error { return errors.Join(check()...) })
	for _, err := range check() {
		m.found(err)
	}
	for _, d := range m.dashboards {
		_ = d.close()
		for i := range sensors {
			m.late, m.came = m.late+len(d.past[i]), m.came+len(d.past[i])+len(d.live[i])
		}
	}
	m.dashboards = nil
	return ctx.Err()
}

func (m *measurement) found(err error) {
	if len(m.wrong) < maxWrong {
		m.wrong = append(m.wrong, err)
	}
}

// checkHubs stops gateways and hubs, and compares their logs, record for record.
func (m *measurement) checkHubs(ctx context.Context) error {
	for _, g := range m.gateways {
		if err := g.stop(); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		for _, h := range m.hubs {
			err := h.Stop()
			h.Program = nil
			if err != nil {
				return err
			}
		}
		records, errs := m.compare()
		if m.records = records; len(errs) == 0 {
			return nil
		}
		if try == tries {
			for _, err := range errs {
				m.found(err)
			}
			return nil
		}
		for _, h := range m.hubs {
			if err := h.start(ctx); err != nil {
				return err
			}
		}
		if err := wait(ctx, settleTime); err != nil {
			return err
		}
	}
}

// compare returns how many records the gateways have, and in what the hubs' logs differ
// from them.
func (m *measurement) compare() (records int64, errs []error) {
	for _, g := range m.gateways {
		for _, s := range sensors {
			want, err := recordsIn(filepath.Join(g.dir, logDir), s.Name)
			if err != nil {
				return records, append(errs, err)
			}
			records += int64(len(want))
			for _, h := range m.hubs {
				got, err := recordsIn(h.log(g.name), s.Name)
				if err == nil {
					err = same(got, want)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("%s of %s at %s: %w", s.Name, g.name, h.name, err))
				}
			}
		}
	}
	return records, errs
}

func same(got, want []wire.Record) error {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	if n == len(want) && n == len(got) {
		return nil
	}
	return fmt.Errorf("the hub has %d records, the gateway %d; they are the same up to the %dth", len(got), len(want), n)
}

// recordsIn returns the records of a sensor in a log to which nobody writes; none if the
// log does not exist.
func recordsIn(dir, sensor string) (all []wire.Record, err error) {
	var damaged error
	r, err := history.OpenReader(dir, func(d history.Damage) { damaged = fmt.Errorf("%s: %+v", dir, d) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for next := r.Between(sensor, 0, time.Now().Add(24*time.Hour).UnixMilli()); ; {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return all, damaged
		}
		if err != nil {
			return nil, err
		}
		for _, x := range batch {
			x.Flags &^= wire.Historical
			all = append(all, x)
		}
	}
}
