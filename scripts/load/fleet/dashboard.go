//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/scripts/load/swarm"
	"sensorgateway/wire"
)

// silence is how long a dashboard waits for a message: longer than gateways are away at
// the end.
const silence = 5 * time.Minute

// dashboard is a client of a hub, of one gateway.
type dashboard struct {
	at   *gateway
	hub  *hub
	conn *websocket.Conn
	done chan struct{}
	lags atomic.Pointer[lags] // collects those of live records; nil: nothing does

	mu   sync.Mutex
	live [][]wire.Record // by sensor, in the order in which they came
	past [][]wire.Record // from the log
	err  error           // why it ended
}

// lags are how long records took from the measurement to a dashboard, in ms.
type lags struct {
	mu  sync.Mutex
	all []int32
}

func (l *lags) add(ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, int32(ms))
}

// quantile returns the longest time of the given part of them.
func quantile(all []int32, part float64) time.Duration {
	return time.Duration(swarm.Percentile(all, part)) * time.Millisecond
}

// dial connects the dashboard with a number, from an address of its own, as if each
// person had a machine.
func dial(number int, at *gateway, h *hub) (*dashboard, error) {
	from := net.IPv4(127, 1, byte(number/250), byte(1+number%250))
	dialer := websocket.Dialer{
		TLSClientConfig: h.tls(), Subprotocols: []string{wire.ReadingsV2}, HandshakeTimeout: patience,
		NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext,
	}
	where := "wss" + strings.TrimPrefix(h.Found, "https") + "/gateways/" + at.name + "/"
	conn, answer, err := dialer.Dial(where, http.Header{"Authorization": {"Bearer " + h.token}})
	if err != nil {
		if answer != nil {
			err = fmt.Errorf("%w: %s", err, answer.Status)
		}
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	d := &dashboard{at: at, hub: h, conn: conn, done: make(chan struct{}), live: make([][]wire.Record, len(sensors)), past: make([][]wire.Record, len(sensors))}
	go d.read()
	return d, nil
}

func (d *dashboard) read() {
	defer close(d.done)
	for {
		_ = d.conn.SetReadDeadline(time.Now().Add(silence))
		kind, message, err := d.conn.ReadMessage()
		if err == nil && kind == websocket.BinaryMessage {
			err = d.take(message, time.Now().UnixMilli())
		}
		if err != nil {
			d.mu.Lock()
			d.err = err
			d.mu.Unlock()
			return
		}
	}
}

func (d *dashboard) take(message []byte, now int64) error {
	records, err := wire.ParseRecords(message)
	if err != nil {
		return err
	}
	l := d.lags.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		if int(r.Sensor) >= len(d.live) {
			return fmt.Errorf("there is no sensor %d", r.Sensor)
		}
		if r.Flags&wire.Historical != 0 {
			d.past[r.Sensor] = append(d.past[r.Sensor], r)
			continue
		}
		d.live[r.Sensor] = append(d.live[r.Sensor], r)
		if l != nil {
			l.add(now - r.UnixMilli)
		}
	}
	return nil
}

// close ends the dashboard, and returns the error if it had ended before.
func (d *dashboard) close() error {
	d.mu.Lock()
	err := d.err
	d.mu.Unlock()
	_ = d.conn.Close()
	<-d.done
	return err
}

// check compares what has come with log, the records in the log of the gateway. From the
// first record that came on, each must have come once; live records must be in order,
// and so must those from the log.
func (d *dashboard) check(sensor int, log []wire.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return fmt.Errorf("it was closed: %w", d.err)
	}
	live, past := d.live[sensor], d.past[sensor]
	if len(live) == 0 {
		return errors.New("nothing came live")
	}
	came := map[uint32]wire.Record{}
	first := live[0].Seq
	for _, part := range [][]wire.Record{live, past} {
		for i, r := range part {
			if i > 0 && !wire.Before(part[i-1].Seq, r.Seq) {
				return fmt.Errorf("%d came after %d", r.Seq, part[i-1].Seq)
			}
			if _, twice := came[r.Seq]; twice {
				return fmt.Errorf("%d came twice", r.Seq)
			}
			came[r.Seq] = r
			if wire.Before(r.Seq, first) {
				first = r.Seq
			}
		}
	}
	for _, want := range log {
		if wire.Before(want.Seq, first) {
			continue
		}
		got, ok := came[want.Seq]
		switch {
		case !ok:
			return fmt.Errorf("%d did not come; %d records came live and %d later, from %d on", want.Seq, len(live), len(past), first)
		case got.Reading != want.Reading || got.Fault != want.Fault:
			return fmt.Errorf("%d is %+v, and in the gateway's log %+v", want.Seq, got.Reading, want.Reading)
		}
		delete(came, want.Seq)
	}
	if len(came) > 0 {
		return fmt.Errorf("%d records came that are not in the gateway's log", len(came))
	}
	return nil
}
