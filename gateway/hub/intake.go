// Package hub is a hub's conversation with the gateways of its fleet, through the fleet's
// broker: it takes what they send, confirms readings to the broker once they are durable,
// knows the state of each gateway, and sends orders.
//
// It knows MQTT, the fleet's topics, and a file for each gateway. It refuses to know how
// readings are stored, certificates, who belongs to the fleet, and the sockets of clients:
// it is given functions that store and check.
package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
)

const (
	writeTimeout = 10 * time.Second // of a packet, to a broker that no longer reads
	keepAlive    = 30               // seconds
	// received is how many messages may be unconfirmed: the broker sends no more until these
	// are durable. RabbitMQ's mqtt.prefetch must be as large.
	received = 500
	// storers store messages: one at a time of one gateway, several at once of several. readers
	// take what needs no disk, so that it does not wait behind that.
	storers = 64
	readers = 8
	// never is when the session expires: a hub that was off for a month still gets everything
	// that the broker has kept.
	never = 0xFFFFFFFF

	resubscriptions  = 10
	resubscribePause = 100 * time.Millisecond
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
	o      Options
	g      *Registry
	log    *slog.Logger
	seed   maphash.Seed
	client atomic.Pointer[paho.Client] // nil: there is no connection
	rival  mqtt.Rival                  // used only by the goroutine that connects

	mu    sync.Mutex
	state Site
	began bool // all gateways were asked for their hello since the hub's start
}

// New returns an intake. [Intake.Run] connects it.
func New(o Options) *Intake {
	in := &Intake{o: o, g: o.Registry, log: o.Registry.o.Log.With("site", o.Site), seed: maphash.MakeSeed()}
	in.state = Site{Name: o.Site, Since: in.g.o.Now().UnixMilli(), Reason: "connecting"}
	in.g.mu.Lock()
	defer in.g.mu.Unlock()
	in.g.intakes[o.Site] = in
	return in
}

// Run takes messages until ctx ends. Whenever a connection ends, it tries the next broker.
func (in *Intake) Run(ctx context.Context) error {
	var broker *url.URL
	mqtt.Keep(ctx, func(ctx context.Context, attempt int) error {
		broker = in.o.Brokers[attempt%len(in.o.Brokers)]
		err := in.explain(broker.Host, in.connection(ctx, broker))
		in.connected(err)
		return err
	}, func(err error) {
		in.log.Warn("no connection to the broker; trying again", "broker", broker.Redacted(), "err", err)
	})
	return nil
}

// explain returns why a connection has ended: another hub may have the same name.
func (in *Intake) explain(broker string, err error) error {
	in.mu.Lock()
	made, since := in.state.Connected, time.UnixMilli(in.state.Since)
	in.mu.Unlock()
	err = in.rival.Explain(broker, err, made, in.g.o.Now().Sub(since))
	if errors.Is(err, mqtt.Disconnected(mqtt.TakenOver)) {
		err = fmt.Errorf("another hub has the name %s, so each takes what is for the other: this one waits some minutes; fix: give one of them another --name, and a state directory of its own: %w", in.g.o.Hub, err)
	}
	return err
}

// message is a message that came, and the client that confirms it.
type message struct {
	*paho.Publish
	client *paho.Client
}

// workers take messages, those of one gateway in order.
type workers struct {
	queues []chan message
	group  errgroup.Group
}

func startWorkers(n int, take func(message)) *workers {
	w := &workers{queues: make([]chan message, n)}
	for i := range w.queues {
		w.queues[i] = make(chan message, received) // room for all that may be unconfirmed
		w.group.Go(func() error {
			for m := range w.queues[i] {
				take(m)
			}
			return nil
		})
	}
	return w
}

// end closes the queues, and returns when all queued messages were taken.
func (w *workers) end() {
	for _, q := range w.queues {
		close(q)
	}
	_ = w.group.Wait() // returns no error
}

// connection takes messages until it fails or ctx ends.
func (in *Intake) connection(ctx context.Context, broker *url.URL) error {
	conn, err := in.dial(ctx, broker)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	take := func(m message) { in.take(ctx, m, end) }
	storing, reading := startWorkers(storers, take), startWorkers(readers, take)
	defer storing.end()
	defer reading.end()
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: writeTimeout, PingHandler: mqtt.NewPinger(), OnClientError: end, EnableManualAcknowledgment: true,
		OnServerDisconnect: func(d *paho.Disconnect) { end(mqtt.Disconnected(d.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			in.queue(message{p.Packet, p.Client}, storing, reading)
			return true, nil
		}},
	})
	fresh, err := in.begin(ctx, client)
	if err != nil {
		return err
	}
	in.log.Info("connected to the broker", "broker", broker.Redacted())
	in.client.Store(client)
	defer in.client.Store(nil)
	in.connected(nil)
	in.ask(ctx, fresh)
	select {
	case <-ctx.Done():
	case <-client.Done():
		select { // the client reports why a moment later
		case <-ctx.Done():
		case <-time.After(time.Second):
			end(fmt.Errorf("the connection has ended: %w", io.EOF))
		}
	}
	_ = client.Disconnect(&paho.Disconnect{}) // of one that failed, it fails too
	<-client.Done()
	return context.Cause(ctx)
}

// begin connects the session and subscribes. fresh: the broker had no session of this hub,
// so what was sent before is lost.
func (in *Intake) begin(ctx context.Context, client *paho.Client) (fresh bool, err error) {
	maximum, packet, expiry := uint16(received), uint32(max(fleet.MaxUp, fleet.MaxNews)+4096), uint32(never)
	ack, err := client.Connect(ctx, &paho.Connect{
		ClientID: in.g.o.Hub + "." + in.o.Site, KeepAlive: keepAlive, CleanStart: false,
		Properties: &paho.ConnectProperties{ReceiveMaximum: &maximum, MaximumPacketSize: &packet, SessionExpiryInterval: &expiry},
	})
	if err != nil { // it has closed the connection
		if ack != nil {
			return false, fmt.Errorf("the broker refused the connection: %s; fix: check what the broker lets %s do", mqtt.Reason(ack.ReasonCode), in.g.o.Hub)
		}
		return false, fmt.Errorf("connect: %w", mqtt.Explain(err))
	}
	var filters []paho.SubscribeOptions
	for _, f := range fleet.Filters(in.o.Site, in.g.o.Hub) {
		qos := byte(1)
		if strings.HasSuffix(f, "/"+string(fleet.Live)) {
			qos = 0
		}
		filters = append(filters, paho.SubscribeOptions{Topic: f, QoS: qos, RetainHandling: 2})
	}
	granted, err := subscribe(ctx, client, filters)
	if err == nil {
		for i, f := range filters {
			if granted.Reasons[i] != f.QoS {
				err = fmt.Errorf("%s: the broker grants %s, and not QoS %d", f.Topic, mqtt.Reason(granted.Reasons[i]), f.QoS)
				break
			}
		}
	}
	if err != nil {
		_ = client.Disconnect(&paho.Disconnect{})
		<-client.Done()
		return false, fmt.Errorf("subscribe: %w", err)
	}
	return !ack.SessionPresent, nil
}

// subscribe subscribes. It tries again if an identifier is in use (reason 0x91): a broker may
// say so of the packets that it sends again, until they are confirmed.
func subscribe(ctx context.Context, client *paho.Client, filters []paho.SubscribeOptions) (*paho.Suback, error) {
	for left := resubscriptions; ; left-- {
		granted, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: filters})
		if err == nil || granted == nil || left == 0 || !slices.Contains(granted.Reasons, packets.SubackPacketIdentifierinuse) {
			return granted, err
		}
		select {
		case <-time.After(resubscribePause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
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
