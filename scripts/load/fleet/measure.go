//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"sensorgateway/gateway/enroll"
	"sensorgateway/scripts/load/process"
)

const (
	maxGateways   = 10_000 // each has a connection and an open file
	maxDashboards = 2000

	patience   = time.Minute     // for steps that usually take a moment
	shipTime   = 5 * time.Minute // for all that is in the logs to be sent
	pace       = 20 * time.Millisecond
	settleTime = 5 * time.Second  // after a start, before measurements
	lookEvery  = 15 * time.Second // how often the age of the hubs' logs is read
)

// measurement is the fleet, and what was found.
type measurement struct {
	o      options
	log    *slog.Logger
	events *events
	broker *broker
	hubs   []*hub

	authority  *enroll.Authority
	gateways   []*gateway
	dashboards []*dashboard

	begin          moment // nobody looks
	rest           moment // the end of the time in which nobody looks
	watched, after moment // dashboards look
	live           lags
	stored         []int32 // ages of the newest durable readings of all gateways, at each look, ms
	late           int     // records that were not live
	came           int
	records        int64 // in the gateways' logs
	wrong          []error
}

// moment is the state of all parts at one moment.
type moment struct {
	hubs        []usage
	self        usage
	machine     process.Processors
	messages    int64
	connections map[int]counted
	at          time.Time
}

// measure runs a fleet and prints what was found.
func measure(ctx context.Context, o options, log *slog.Logger) (err error) {
	m := &measurement{o: o, log: log, events: &events{kind: map[string]int{}}, broker: newBroker(o)}
	defer func() { err = errors.Join(err, m.end()) }()
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{
		{"the broker starts", m.startBroker}, {"the gateways enroll", m.enroll}, {"the hubs start", m.startHubs}, {"the gateways connect", m.startGateways},
		{"nobody looks", m.measureRest}, {"the dashboards come", m.startDashboards}, {"they look", m.measureLoad},
		{"the gateways restart, which sends what was not complete", m.restart}, {"the hubs store it", m.awaitStored},
		{"what the dashboards have is checked", m.checkDashboards}, {"what the hubs have is checked", m.checkHubs},
	} {
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), step.what)
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	m.report(os.Stdout)
	return errors.Join(m.wrong...)
}

// end ends what still runs.
func (m *measurement) end() error {
	var errs []error
	for _, d := range m.dashboards {
		_ = d.close() // if it had ended, the reason was reported
	}
	m.dashboards = nil
	var parts sync.WaitGroup
	for _, g := range m.gateways {
		parts.Go(func() { _ = g.stop() })
	}
	parts.Wait()
	for _, h := range m.hubs {
		if h.Program != nil {
			errs = append(errs, h.Stop())
		}
	}
	return errors.Join(append(errs, m.broker.stop())...)
}

func (m *measurement) startBroker(ctx context.Context) (err error) {
	if m.hubs, m.authority, err = newHubs(m.o.dir, m.o.program, m.broker.urls); err != nil {
		return err
	}
	if err := m.broker.start(ctx, m.authority, m.hubs[0]); err != nil {
		return err
	}
	return m.broker.letIn(ctx, m.hubs[0])
}

// enroll makes gateways members of the fleet, each with a code of its own.
func (m *measurement) enroll(ctx context.Context) error {
	h, boot := m.hubs[0], time.Now()
	if err := h.start(ctx); err != nil {
		return err
	}
	at, err := url.Parse(h.Found)
	if err != nil {
		return err
	}
	all, long := enroll.OpenMembers(h.dir), m.o.rest()+minutes(m.o.minutes)+5*time.Minute
	for n := range m.o.gateways {
		g, err := newGateway(n+1, m.o.logs, long, boot, m.events, m.log)
		if err != nil {
			return err
		}
		code, err := all.Invite(m.authority, site, "", "scripts/fleet", time.Now())
		if err != nil {
			return err
		}
		if _, err := (enroll.Device{Dir: g.dir}).Enroll(ctx, at, code, g.name, false); err != nil {
			return err
		}
		m.gateways = append(m.gateways, g)
	}
	err = h.Stop() // it is measured from a fresh start
	h.Program = nil
	return errors.Join(err, m.broker.letIn(ctx, h))
}

func (m *measurement) startHubs(ctx context.Context) error {
	for _, h := range m.hubs {
		if err := h.start(ctx); err != nil {
			return err
		}
	}
	if err := wait(ctx, min(settleTime, m.o.rest())); err != nil {
		return err
	}
	var err error
	for _, h := range m.hubs {
		if h.started, err = usageOf(h.ID); err != nil {
			return err
		}
	}
	return nil
}

// startGateways starts them spread over a minute: blocks have a minute, and in a real
// fleet they do not all end together.
func (m *measurement) startGateways(ctx context.Context) error {
	every := min(time.Minute/time.Duration(m.o.gateways), 50*pace)
	for _, g := range m.gateways {
		if err := g.start(); err != nil {
			return err
		}
		measuring, end := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); g.run(measuring) }()
		g.rest = func() { end(); <-done }
		if err := wait(ctx, every); err != nil {
			return err
		}
	}
	if err := m.awaitConnected(ctx); err != nil {
		return err
	}
	return wait(ctx, min(time.Minute, m.o.rest())) // until the first blocks were sent
}

func (m *measurement) awaitConnected(ctx context.Context) error {
	return await(ctx, patience, func() error {
		n, state := 0, ""
		for _, g := range m.gateways {
			if s := g.uplink.State(); !s.Connected {
				n, state = n+1, g.name+": "+s.State
			}
		}
		if n > 0 {
			return fmt.Errorf("%d of %d gateways are not connected; %s", n, len(m.gateways), state)
		}
		return nil
	})
}

// now returns the present state of all parts.
func (m *measurement) now() (n moment, err error) {
	n.at, n.machine = time.Now(), process.Machine()
	var errs []error
	for _, h := range m.hubs {
		u, err := usageOf(h.ID)
		n.hubs, errs = append(n.hubs, u), append(errs, err)
	}
	for _, g := range m.gateways {
		n.messages += g.messages()
	}
	var own, tcp error
	n.self, own = usageOf(process.ID(os.Getpid()))
	n.connections, tcp = connections(m.broker.ports)
	return n, errors.Join(append(errs, own, tcp)...)
}

func (m *measurement) measureRest(ctx context.Context) (err error) {
	if m.begin, err = m.now(); err != nil {
		return err
	}
	if err := wait(ctx, m.o.rest()); err != nil {
		return err
	}
	m.rest, err = m.now()
	return err
}

// startDashboards connects dashboards, alternately to the two hubs, and spread over the
// gateways.
func (m *measurement) startDashboards(ctx context.Context) error {
	for n := range m.o.dashboards {
		g := m.gateways[n*max(len(m.gateways)/m.o.dashboards, 1)%len(m.gateways)]
		d, err := dial(n, g, m.hubs[n%len(m.hubs)])
		if err != nil {
			return err
		}
		m.dashboards = append(m.dashboards, d)
		if err := wait(ctx, pace); err != nil {
			return err
		}
	}
	return wait(ctx, min(settleTime, m.o.rest()))
}

func (m *measurement) measureLoad(ctx context.Context) (err error) {
	if m.watched, err = m.now(); err != nil {
		return err
	}
	for _, d := range m.dashboards {
		d.lags.Store(&m.live)
	}
	end := m.watched.at.Add(minutes(m.o.minutes))
	for n := 0; time.Now().Before(end); n++ {
		if err := wait(ctx, min(lookEvery, time.Until(end))); err != nil {
			return err
		}
		o, err := m.hubs[n%len(m.hubs)].overview(ctx)
		if err != nil {
			return err
		}
		for _, g := range o.Gateways {
			if g.Stored > 0 {
				m.stored = append(m.stored, int32(o.Time-g.Stored))
			}
		}
	}
	for _, d := range m.dashboards {
		d.lags.Store(nil)
	}
	m.after, err = m.now()
	return err
}

// wait waits for the time d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await repeats check until it succeeds, or returns its error after the time long.
func await(ctx context.Context, long time.Duration, check func() error) error {
	for end := time.Now().Add(long); ; {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("after %v: %w", long, err)
		}
		if err := wait(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}
