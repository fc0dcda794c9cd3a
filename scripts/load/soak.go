//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sensorgateway/scripts/load/process"
)

// What an attack may cost (systemd/gateway.service has the limit of memory).
const (
	memoryMax   = 128 << 20
	mayTake     = 64 << 20 // bytes above rest
	stopWithin  = 50 * time.Millisecond
	enterWithin = 2 * time.Second
	// mayBeBusy is the share of the processors that other programs may use: the limits of
	// time are for a machine that is otherwise idle.
	mayBeBusy = 0.1
	soakTime  = 10 * time.Minute
	shortSoak = 20 * time.Second
	// recovers is how long the gateway may take to return memory to the system.
	recovers = 15 * time.Second
	// loads is the time before the attack, in which the gateway returns the memory that
	// it used to read a day of readings.
	loads = 15 * time.Second
)

// soak attacks a gateway with all that one host can do without credentials, and
// measures how that affects other clients.
func (b *bench) soak(d time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeDay(b.ctx, dir, "s"); err != nil {
		return err
	}
	g, err := startGateway(b.ctx, b.program, dir, fmt.Sprintf("state: %s\n%s", dir, oneSensor.config)+
		"motors:\n  - {name: motor_1, kind: on_off, pin: GPIO17}\n", "--state", dir)
	if err != nil {
		return err
	}
	limited := limitMemory(g.ID)
	defer func() {
		err = errors.Join(err, g.Stop())
		limited.remove()
	}()
	s, err := b.measureSoak(g, d)
	if err != nil {
		return err
	}
	return s.print(b, limited.said)
}

// soaked is what was measured.
type soaked struct {
	took                            time.Duration
	rest, most, after               int // bytes
	missed                          int
	tries                           int64
	attackErr                       error
	busy                            float64 // share of the processors that other programs used before the attack
	alone, stops, entries, failures durations
}

func (b *bench) measureSoak(g *gateway, d time.Duration) (s soaked, err error) {
	o, err := dialOperator(b.ctx, g.addr)
	if err != nil {
		return s, err
	}
	defer o.ws.Close()
	idle := process.Machine()
	if s.alone, err = stopsFor(b.ctx, o, loads, func() {}); err != nil {
		return s, err
	}
	s.busy = process.Machine().Since(idle)
	if s.rest, err = g.RSS(); err != nil {
		return s, err
	}
	before, err := metric(g.addr, "gateway_ticks_missed_total ")
	if err != nil {
		return s, err
	}
	ctx, end := context.WithTimeout(b.ctx, d)
	defer end()
	var others sync.WaitGroup
	others.Go(func() { s.tries, s.attackErr = attackFrom(ctx, g.addr) })
	others.Go(func() { s.entries, s.failures = enter(ctx, g.addr) })
	begin := time.Now()
	s.stops, err = stopsFor(ctx, o, d, func() {
		if rss, err := g.RSS(); err == nil {
			s.most = max(s.most, rss)
		}
	})
	s.took = time.Since(begin)
	end()
	others.Wait()
	if err != nil {
		return s, err
	}
	if s.attackErr != nil {
		return s, s.attackErr
	}
	missed, err := metric(g.addr, "gateway_ticks_missed_total ")
	s.missed = missed - before
	pause(b.ctx, recovers)
	after, err2 := g.RSS()
	s.after = after
	return s, errors.Join(err, err2)
}

// stopsFor stops the motor ten times a second.
func stopsFor(ctx context.Context, o *operator, d time.Duration, each func()) (took durations, err error) {
	for begin := time.Now(); time.Since(begin) < d; {
		each()
		t, err := o.stop()
		if err != nil {
			return took, err
		}
		took = append(took, t)
		if !pause(ctx, 100*time.Millisecond) {
			break
		}
	}
	return took, nil
}

// enter connects a new operator every two seconds, and returns how long each took until
// a stop was acknowledged, and how long those had waited that could not connect.
func enter(ctx context.Context, addr string) (took, failed durations) {
	for pause(ctx, enterWithin) {
		begin := time.Now()
		o, err := dialOperator(ctx, addr)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			fmt.Fprintf(os.Stderr, "load: %v\n", err)
			failed = append(failed, time.Since(begin))
		default:
			took = append(took, time.Since(begin))
		}
		if err == nil {
			_ = o.ws.Close() // its stop was acknowledged
		}
	}
	return took, failed
}

// print prints the figures and returns an error if they exceed the limits.
func (s soaked) print(b *bench, limited string) error {
	names := ""
	for _, a := range attacks {
		names += fmt.Sprintf(", %d %s", a.clients, a.name)
	}
	fmt.Fprintf(b.out, "%s. One host attacks for %v%s, all at once: %d connections. %s.\n", process.Describe(), s.took.Round(time.Second), names, s.tries, limited)
	b.head("of a gateway under attack", "measured", "may be")
	mib := func(bytes int) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
	b.row("memory at rest, RSS", mib(s.rest), "")
	b.row("at most above that", mib(s.most-s.rest), mib(mayTake))
	b.row(fmt.Sprintf("%v after the attack, above that", recovers), mib(s.after-s.rest), "")
	b.row("ticks missed", fmt.Sprint(s.missed), "0")
	b.row("stop, before the attack, p50 and p99", ms(s.alone.percentile(0.5))+", "+ms(s.alone.percentile(0.99)), "")
	b.row("stop, p50", ms(s.stops.percentile(0.5)), "")
	b.row("stop, p99", ms(s.stops.percentile(0.99)), ms(stopWithin))
	b.row("a new operator has stopped the motor, at most", ms(s.entries.percentile(1)), ms(enterWithin))
	b.row("new operators that did not get in", fmt.Sprintf("%d of %d", len(s.failures), len(s.failures)+len(s.entries)), "0")
	late := s.missed > 0 || s.stops.percentile(0.99) > stopWithin
	if s.busy > mayBeBusy {
		fmt.Fprintf(b.out, "\nOthers took %.0f %% of the processors before the attack: ticks and stops say nothing here.\n", 100*s.busy)
		late = false
	}
	if s.most-s.rest > mayTake || late || len(s.entries) == 0 || s.entries.percentile(1) > enterWithin || len(s.failures) > 0 {
		return errors.New("the attack costs more than it may")
	}
	return nil
}

// cgroup is where a process's memory is limited.
type cgroup struct{ dir, said string }

// limitMemory puts a process into a cgroup with the unit's limit, if this machine
// allows that, and returns whether it did.
func limitMemory(p process.ID) (c cgroup) {
	for _, version := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(version.root, fmt.Sprintf("gateway-soak-%d", p))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		c = cgroup{dir, fmt.Sprintf("Its memory is limited to %d MiB, as in the unit", memoryMax>>20)}
		for file, text := range map[string]string{version.limit: fmt.Sprint(memoryMax), "cgroup.procs": fmt.Sprint(int(p))} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				c.remove()
				c = cgroup{}
				break
			}
		}
		if c.dir != "" {
			return c
		}
	}
	return cgroup{"", "No cgroup limits its memory here: that takes root and the memory controller"}
}

// remove removes the cgroup of a process that has ended.
func (c cgroup) remove() {
	if c.dir != "" {
		_ = os.Remove(c.dir) // the process may not have ended yet: an empty cgroup costs nothing
	}
}
