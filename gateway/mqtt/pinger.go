package mqtt

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"
)

// Pinger pings a broker when nothing was sent, or nothing was received, for the time of the
// keep-alive. It ends a connection on which nothing was received for 1.5 times that: paho's
// own takes up to 2 times. It is a paho.Pinger for one connection.
type Pinger struct {
	begin          time.Time
	sent, received atomic.Int64 // when last, since begin
}

// NewPinger returns a pinger.
func NewPinger() *Pinger { return &Pinger{begin: time.Now()} }

// Run pings until ctx ends. An error says that the broker no longer answers.
func (p *Pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	interval := time.Duration(keepAlive) * time.Second
	if interval == 0 {
		return nil
	}
	pinged := -interval
	failed := make(chan error, 1)
	for {
		now, sent, received := time.Since(p.begin), time.Duration(p.sent.Load()), time.Duration(p.received.Load())
		end := received + interval*3/2
		if now >= end {
			return fmt.Errorf("the broker has not answered for %s", (now - received).Round(time.Second))
		}
		next := min(sent, received) + interval
		if next <= now {
			if now-pinged >= interval/2 {
				pinged = now
				p.PacketSent()
				go ping(conn, failed)
			}
			next = min(end, pinged+interval/2)
		}
		timer := time.NewTimer(next - now)
		select {
		case <-timer.C:
		case err := <-failed:
			timer.Stop()
			return err
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// ping sends a ping. It may block on a slow line, until the connection ends.
func ping(conn net.Conn, failed chan<- error) {
	if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(conn); err != nil {
		select {
		case failed <- err:
		default:
		}
	}
}

// PacketSent notes that a packet was sent.
func (p *Pinger) PacketSent() { p.sent.Store(int64(time.Since(p.begin))) }

// PacketReceived notes that a packet came.
func (p *Pinger) PacketReceived() { p.received.Store(int64(time.Since(p.begin))) }

// PingResp notes nothing: it is a packet that came.
func (p *Pinger) PingResp() {}

// SetDebug does nothing.
func (p *Pinger) SetDebug(log.Logger) {}
