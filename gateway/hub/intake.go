// Package hub takes what gateways send out of the fleet's broker: blocks of their logs of
// readings, which are stored before the broker may forget them.
//
// It knows MQTT and the fleet's topics. It refuses to know files, certificates, and who
// belongs to the fleet: it has functions that store and that check.
package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
)

const (
	writeTimeout = 10 * time.Second // of a packet, to a broker that no longer reads
	keepAlive    = 30               // seconds
	// received is how many messages may be under way: the broker sends no more until these
	// are durable. RabbitMQ's mqtt.prefetch must be as large.
	received = 500
	// workers store: of a gateway one message at a time, of many gateways many at once.
	workers = 64
	// never is when the session expires: a hub that was off for a month has missed nothing
	// that the broker has kept.
	never = 0xFFFFFFFF
)

// Options are what an [Intake] is made of.
type Options struct {
	Registry *Registry                   // knows the gateways
	Site     string                      // whose gateways it is
	Brokers  []*url.URL                  // mqtt:// or mqtts://, to be tried in turn
	TLS      func() (*tls.Config, error) // for mqtts
}

// Intake is the hub's durable session for a site.
type Intake struct {
	o    Options
	g    *Registry
	log  *slog.Logger
	seed maphash.Seed
}

// New returns an intake. [Intake.Run] connects it.
func New(o Options) *Intake {
	in := &Intake{o: o, g: o.Registry, log: o.Registry.o.Log.With("site", o.Site), seed: maphash.MakeSeed()}
	in.g.mu.Lock()
	defer in.g.mu.Unlock()
	in.g.intakes[o.Site] = in
	return in
}

// Run takes messages, from one broker after the other whenever a connection ends, until
// ctx ends.
func (in *Intake) Run(ctx context.Context) error {
	var broker *url.URL
	mqtt.Keep(ctx, func(ctx context.Context, attempt int) error {
		broker = in.o.Brokers[attempt%len(in.o.Brokers)]
		return in.connection(ctx, broker)
	}, func(err error) {
		in.log.Warn("nothing comes from the broker; it is tried again", "broker", broker.Redacted(), "err", err)
	})
	return nil
}

// message is one that came, and how it is confirmed.
type message struct {
	*paho.Publish
	client *paho.Client
}

// connection takes messages until it fails or ctx ends.
func (in *Intake) connection(ctx context.Context, broker *url.URL) error {
	conn, err := in.dial(ctx, broker)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	queues := make([]chan message, workers)
	var storing errgroup.Group
	for i := range queues {
		queues[i] = make(chan message, received) // all that may be under way
		storing.Go(func() error { in.store(ctx, queues[i], end); return nil })
	}
	defer func() {
		for _, q := range queues {
			close(q)
		}
		_ = storing.Wait() // returns no error
	}()
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: writeTimeout, OnClientError: end, EnableManualAcknowledgment: true,
		OnServerDisconnect: func(d *paho.Disconnect) { end(mqtt.Disconnected(d.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			queues[in.queueOf(p.Packet.Topic)] <- message{p.Packet, p.Client}
			return true, nil
		}},
	})
	if err := in.begin(ctx, client, conn); err != nil {
		return err
	}
	in.log.Info("connected to the broker", "broker", broker.Redacted())
	select {
	case <-ctx.Done():
	case <-client.Done():
		end(errors.New("the connection has ended"))
	}
	_ = client.Disconnect(&paho.Disconnect{}) // of one that failed, it fails too
	<-client.Done()
	return context.Cause(ctx)
}

// queueOf returns which worker has the messages of a topic, in their order.
func (in *Intake) queueOf(topic string) int {
	return int(maphash.String(in.seed, topic) % workers)
}

// begin connects the session, or a new one, and subscribes.
func (in *Intake) begin(ctx context.Context, client *paho.Client, conn net.Conn) error {
	maximum, packet, expiry := uint16(received), uint32(fleet.MaxUp+4096), uint32(never)
	ack, err := client.Connect(ctx, &paho.Connect{
		ClientID: in.g.o.Hub + "." + in.o.Site, KeepAlive: keepAlive, CleanStart: false,
		Properties: &paho.ConnectProperties{ReceiveMaximum: &maximum, MaximumPacketSize: &packet, SessionExpiryInterval: &expiry},
	})
	if err != nil { // it has closed the connection
		if ack != nil {
			return fmt.Errorf("the broker refused the connection: %s; fix: check what the broker lets %s do", mqtt.Reason(ack.ReasonCode), in.g.o.Hub)
		}
		return fmt.Errorf("connect: %w", mqtt.Explain(err))
	}
	filter := fleet.Gateway{Site: in.o.Site, Name: "+"}.Topic(fleet.Up)
	granted, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1, RetainHandling: 2}}})
	if err == nil && granted.Reasons[0] != 1 {
		err = fmt.Errorf("the broker grants reason 0x%02x, and not QoS 1", granted.Reasons[0])
	}
	if err != nil {
		_ = client.Disconnect(&paho.Disconnect{})
		<-client.Done()
		return fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return nil
}

// dial opens the connection to a broker.
func (in *Intake) dial(ctx context.Context, broker *url.URL) (net.Conn, error) {
	var config *tls.Config
	if broker.Scheme == "mqtts" {
		var err error
		if config, err = in.o.TLS(); err != nil {
			return nil, err
		}
	}
	return mqtt.Dial(ctx, broker, mqtt.Options{TLS: config, WriteTimeout: writeTimeout})
}

// store stores messages, and confirms each to the broker once it is durable. What cannot
// be stored now is not confirmed: the connection ends, and on the next one it comes again.
func (in *Intake) store(ctx context.Context, queue <-chan message, end context.CancelCauseFunc) {
	for m := range queue {
		if ctx.Err() != nil {
			continue
		}
		blocks, gateway, err := in.open(m.Publish)
		if err != nil { // it will never be better: it must not stop the others
			in.log.Warn("a message is not stored", "topic", m.Topic, "bytes", len(m.Payload), "err", err)
		} else if err := in.g.o.Store(ctx, gateway.Name, blocks); err != nil {
			end(fmt.Errorf("readings of %s: %w", gateway.Name, err))
			continue
		} else {
			r := in.g.remote(gateway)
			r.count(len(m.Topic) + len(m.Payload))
			r.durable(blocks)
		}
		if err := m.client.Ack(m.Publish); err != nil {
			end(fmt.Errorf("confirm: %w", err))
		}
	}
}

// open returns the blocks in a message, and whose they are, if they are that gateway's to
// send.
func (in *Intake) open(p *paho.Publish) (blocks fleet.Blocks, gateway fleet.Gateway, err error) {
	t, err := fleet.ParseTopic(p.Topic)
	if err != nil {
		return blocks, gateway, err
	}
	if p.Retain {
		return blocks, gateway, errors.New("it is retained: nothing of the fleet is")
	}
	if t.Kind != fleet.Up || t.Site != in.o.Site {
		return blocks, gateway, errors.New("it came on a topic that was not subscribed to")
	}
	if err := in.g.o.Check(t.Gateway); err != nil {
		return blocks, gateway, err
	}
	blocks, err = fleet.ParseUp(p.Payload)
	return blocks, t.Gateway, err
}
