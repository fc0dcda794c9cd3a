package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/sync/errgroup"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/gateway/uplink/ship"
	"sensorgateway/wire"
)

// Times of a connection.
const (
	// packetTimeout is how long a packet may take, and also its answer: a message of 48 KiB
	// over 64 kbit/s takes 6 s.
	packetTimeout = 30 * time.Second
	farewellTime  = time.Second
	// endTime is how long a stopping gateway waits for a line that takes nothing.
	endTime  = 2 * time.Second
	minRetry = time.Second // until news that the broker did not take is sent again
	maxRetry = time.Minute
)

// Limits of what the broker may send.
const (
	maxReceived = 64                    // messages that are not handled yet
	maxPacket   = fleet.MaxOrder + 2048 // bytes; with the header
)

// Topic aliases, which stand for topics from the second message of a connection on.
const (
	aliasUp = iota + 1
	aliasLive
	aliasNews
	aliases
)

// link is one connection.
type link struct {
	*Uplink
	gateway fleet.Gateway
	number  uint64
	client  *paho.Client
	end     context.CancelCauseFunc
	bye     byte           // the reason of DISCONNECT: whether the broker is to publish the will
	parts   sync.WaitGroup // stops that are carried out

	commands  chan task
	questions chan task
	stops     chan struct{}

	mu      sync.Mutex
	greeted time.Time // when hello was last sent again because of a refused order
	aliases [aliases]aliasState
}

type aliasState int

const (
	aliasUnknown aliasState = iota
	aliasPending            // the message that defines it is under way
	aliasKnown
)

// connection connects to the broker whose turn it is, and works until the connection or
// ctx ends.
func (u *Uplink) connection(ctx context.Context, attempt int) error {
	err := u.connect(ctx, attempt)
	u.operators.all()
	if ctx.Err() != nil {
		err = nil
	}
	err = u.explain(err)
	if errors.Is(err, mqtt.Disconnected(mqtt.TakenOver)) {
		u.takeovers.Add(1)
		err = fmt.Errorf("another device seems to connect as this gateway, so both lose the line: this one waits some minutes; fix: give one of them a name of its own, by gateway enroll --force and a new code: %w", err)
	}
	u.ended(err)
	return err
}

func (u *Uplink) connect(ctx context.Context, attempt int) error {
	id, err := u.o.Identity()
	if err != nil {
		return err
	}
	broker := id.Brokers[attempt%len(id.Brokers)]
	u.broker = broker.Host
	where := func(err error) error { return fmt.Errorf("%s: %w", broker.Redacted(), err) }
	conn, err := mqtt.Dial(ctx, broker, mqtt.Options{TLS: id.TLS, WriteTimeout: packetTimeout, Count: u.count})
	if err != nil {
		return where(err)
	}
	u.verifierOf(id)
	defer context.AfterFunc(ctx, func() { time.AfterFunc(endTime, func() { _ = conn.Close() }) })()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	l := &link{
		Uplink: u, gateway: id.Gateway, number: rand.Uint64N(1<<53-1) + 1, end: end, // 53 bits: what JavaScript can count
		commands: make(chan task, fleet.MaxWaiting), questions: make(chan task, maxAsked), stops: make(chan struct{}, maxStops),
	}
	l.client = paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: packetTimeout, PingHandler: mqtt.NewPinger(), OnClientError: end,
		OnServerDisconnect: func(d *paho.Disconnect) { end(mqtt.Disconnected(d.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			l.received(p.Packet)
			return true, nil
		}},
	})
	ack, err := l.client.Connect(ctx, l.connectPacket(id))
	if err != nil { // it has closed the connection
		if ack != nil {
			return where(fmt.Errorf("the broker refused the connection: %s; fix: check what the broker lets %s do", mqtt.Reason(ack.ReasonCode), id.Gateway.Name))
		}
		return where(fmt.Errorf("connect: %w", mqtt.Explain(err)))
	}
	err = l.serve(ctx, ack)
	_ = l.client.Disconnect(&paho.Disconnect{ReasonCode: l.bye}) // of one that failed, it fails too
	<-l.client.Done()
	l.parts.Wait()
	if err != nil {
		return where(err)
	}
	return nil
}

// connectPacket introduces the gateway. It resumes no session: old orders are useless, and
// the log is the queue. But the session must last until the broker has published the will,
// because its end would end the will's delay (MQTT 5.0, section 3.1.3.2.2). It lasts longer
// than that: if both end in the same second, Mosquitto 2.0.11 sometimes publishes no will.
func (l *link) connectPacket(id *Identity) *paho.Connect {
	delay, received, packet := uint32(fleet.WillDelay/time.Second), uint16(maxReceived), uint32(maxPacket)
	expiry := 2 * delay
	p := &paho.Connect{
		ClientID: id.Gateway.Name, KeepAlive: uint16(fleet.KeepAlive / time.Second), CleanStart: true,
		Properties:     &paho.ConnectProperties{SessionExpiryInterval: &expiry, ReceiveMaximum: &received, MaximumPacketSize: &packet},
		WillMessage:    &paho.WillMessage{Topic: l.gateway.Topic(fleet.Here), Payload: []byte(fleet.Presence{Connection: l.number}.String()), QoS: 1},
		WillProperties: &paho.WillProperties{WillDelayInterval: &delay},
	}
	if id.User != "" {
		p.Username, p.UsernameFlag, p.Password, p.PasswordFlag = id.User, true, id.Password, len(id.Password) > 0
	}
	return p
}

// serve works until the connection ends, or ctx does, which is no error.
func (l *link) serve(ctx context.Context, ack *paho.Connack) error {
	if ack.Properties != nil && ack.Properties.TopicAliasMaximum != nil && *ack.Properties.TopicAliasMaximum >= aliases-1 {
		l.aliases = [aliases]aliasState{}
	} else {
		for i := range l.aliases {
			l.aliases[i] = aliasPending // for ever: no alias is used
		}
	}
	if err := l.subscribe(ctx); err != nil {
		return err
	}
	l.bye = packets.DisconnectDisconnectWithWillMessage // until the broker knows that it is offline
	if _, err := l.present(ctx, true); err != nil {
		return err
	}
	l.connected(l.gateway)
	l.news.greet()
	link := ship.Link{Publish: l.up}
	if ack.Properties != nil && ack.Properties.MaximumPacketSize != nil {
		link.MaxPacket = int(min(*ack.Properties.MaximumPacketSize, fleet.MaxUp))
	}
	work, working := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return l.o.Shipper.Run(ctx, link) },
		l.sendNews, l.sendLive, l.carryOut, l.answerQuestions, l.await,
	} {
		work.Go(func() error { return l.o.Guard(part)(working) })
	}
	err := work.Wait()
	if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	l.farewell()
	return nil
}

// await returns why the connection has ended.
func (l *link) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.client.Done():
		return l.why(ctx, errors.New("the connection has ended"))
	}
}

// why returns why the connection has ended: what the client reports a moment later, else err,
// by which the end was noticed.
func (l *link) why(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		l.end(err)
		return err
	}
}

func (l *link) subscribe(ctx context.Context) error {
	s := &paho.Subscribe{}
	for _, filter := range l.gateway.Orders() { // retained ones are not sent, and those to be retained are marked
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: filter, QoS: 1, RetainHandling: 2, RetainAsPublished: true})
	}
	granted, err := l.client.Subscribe(ctx, s)
	if granted != nil {
		for i, code := range granted.Reasons {
			if code != 1 {
				fix := "check what the broker lets " + l.gateway.Name + " subscribe to"
				if code == 0x80 { // RabbitMQ's answer while the node that has the session's queue is down
					fix = "if a node of the broker is down, wait: it is tried again; else see the broker's log"
				}
				return fmt.Errorf("subscribe to %s: the broker grants %s, and not QoS 1; fix: %s", s.Subscriptions[i].Topic, mqtt.Reason(code), fix)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// present says that the gateway is here, or no longer is.
func (l *link) present(ctx context.Context, online bool) (reason byte, err error) {
	return l.publish(ctx, l.gateway.Topic(fleet.Here), 0, &paho.Publish{QoS: 1, Payload: []byte(fleet.Presence{Online: online, Connection: l.number}.String())})
}

// farewell says that the gateway is offline, before the connection ends in order.
func (l *link) farewell() {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime)
	defer cancel()
	if reason, err := l.present(ctx, false); err == nil && reason < 0x80 {
		l.bye = packets.DisconnectNormalDisconnection // else the will says so later
	}
}

// up sends a message of the shipper.
func (l *link) up(ctx context.Context, m ship.Message) (reason byte, err error) {
	p := &paho.Publish{QoS: 1, Payload: m.Payload, Properties: &paho.PublishProperties{}}
	p.Properties.User.Add(fleet.PropertyEpoch, m.Epoch)
	p.Properties.User.Add(fleet.PropertyLast, strconv.FormatUint(uint64(m.Last), 10))
	return l.publish(ctx, l.gateway.Topic(fleet.Up), aliasUp, p)
}

// sendNews sends news in its order until ctx ends. What the broker does not take, or
// passes on to nobody, is sent again.
func (l *link) sendNews(ctx context.Context) error {
	hello := func() []byte { return wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: l.hello(l.number)}) }
	retry := minRetry
	for {
		message, greeting := l.news.take(hello)
		wake, rest := l.news.wake, (<-chan time.Time)(nil)
		if message != nil {
			reason, err := l.publish(ctx, l.gateway.Topic(fleet.News), aliasNews, &paho.Publish{QoS: 1, Payload: message})
			switch {
			case err != nil || reason != 0:
				l.news.untake(message, greeting)
			default:
				retry = minRetry
				continue
			}
			if err != nil {
				return err
			}
			wake, rest = nil, time.After(retry)
			retry = min(2*retry, maxRetry)
		}
		select {
		case <-wake:
		case <-rest:
		case <-ctx.Done():
			return nil
		}
	}
}

// publish sends a message and returns the reason of its PUBACK, 0 for one of QoS 0. An
// error says that the connection has ended, or ctx.
func (l *link) publish(ctx context.Context, topic string, alias uint16, p *paho.Publish) (reason byte, err error) {
	p.Topic = topic
	state := l.alias(alias, p)
	r, err := l.client.Publish(ctx, p)
	switch {
	case r == nil && ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case r == nil && errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the broker has not confirmed a message on %s for %s", topic, packetTimeout)
		l.end(err)
		return 0, err
	case r == nil:
		return 0, l.why(ctx, fmt.Errorf("publish on %s: %w", topic, err))
	}
	l.messages.Add(1)
	if state == aliasPending {
		l.mu.Lock()
		l.aliases[alias] = aliasKnown
		l.mu.Unlock()
	}
	if p.QoS > 0 && alias != 0 { // others are not sent again, so a bad answer to one would stay
		l.answered(alias, r.ReasonCode)
	}
	return r.ReasonCode, nil
}

// alias replaces the topic of a message by its alias. The first message defines the alias;
// until the broker has confirmed that, other messages have the topic.
func (l *link) alias(alias uint16, p *paho.Publish) aliasState {
	if alias == 0 {
		return aliasUnknown
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Properties == nil {
		p.Properties = &paho.PublishProperties{}
	}
	switch l.aliases[alias] {
	case aliasUnknown:
		l.aliases[alias] = aliasPending
		p.Properties.TopicAlias = &alias
		return aliasPending
	case aliasKnown:
		p.Topic, p.Properties.TopicAlias = "", &alias
		return aliasKnown
	}
	return aliasUnknown
}

// count counts bytes on the wire.
func (u *Uplink) count(bytes int) {
	u.bytes.Add(int64(bytes))
	u.o.Shipper.Used(bytes)
}
