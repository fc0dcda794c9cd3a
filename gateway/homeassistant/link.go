package homeassistant

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/gateway/mqtt"
)

// Times of a connection.
const (
	writeTimeout = 5 * time.Second // of a packet, to a broker that no longer reads
	// keepAlive is how often the broker is asked whether it is there, in seconds: what
	// Home Assistant started stops a few seconds after the broker no longer answers.
	keepAlive = 5
	// period is the least time between two publications of sensors, and soon that
	// between two of motors.
	period = time.Second
	soon   = 100 * time.Millisecond
)

// Limits of what the broker may send.
const (
	maxReceived = 32      // messages that are not handled yet
	maxPacket   = 1 << 20 // bytes; the largest is the gateway's own announcement
)

// link is one connection to the broker.
type link struct {
	*Bridge
	client *paho.Client
	sent   map[string]string // what Home Assistant knows of each topic
}

// connection connects, and publishes until ctx ends, which is no error.
func (b *Bridge) connection(ctx context.Context) error {
	conn, err := mqtt.Dial(ctx, b.opts.Broker, mqtt.Options{WriteTimeout: writeTimeout})
	if err != nil {
		return err
	}
	failed := make(chan error, 1) // why it ended: the first error only, as the others follow from it
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	receiveMaximum, packetSize := uint16(maxReceived), uint32(maxPacket)
	l := &link{Bridge: b, sent: map[string]string{}, client: paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: writeTimeout, OnClientError: fail,
		OnServerDisconnect: func(d *paho.Disconnect) { fail(mqtt.Disconnected(d.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			b.received(p.Packet.Topic, p.Packet.Payload, p.Packet.Retain)
			return true, nil
		}},
	})}
	connect, err := b.connectPacket()
	if err != nil {
		_ = conn.Close()
		return err
	}
	connect.Properties = &paho.ConnectProperties{ReceiveMaximum: &receiveMaximum, MaximumPacketSize: &packetSize}
	if ack, err := l.client.Connect(ctx, connect); err != nil { // it has closed the connection
		if ack != nil {
			return fmt.Errorf("the broker refused the connection: %s; fix: check home_assistant.user and its password_file, and what the broker lets this user do", mqtt.Reason(ack.ReasonCode))
		}
		return fmt.Errorf("connect: %w", mqtt.Explain(err))
	}
	err = l.serve(ctx, failed)
	_ = l.client.Disconnect(&paho.Disconnect{}) // of one that failed, it fails too
	<-l.client.Done()
	return err
}

// connectPacket introduces the gateway. Its will says that the gateway is offline. No
// session is kept, because commands could wait in one.
func (b *Bridge) connectPacket() (*paho.Connect, error) {
	p := &paho.Connect{
		ClientID: b.opts.ID, KeepAlive: keepAlive, CleanStart: true,
		WillMessage: &paho.WillMessage{Topic: b.topics.availability, Payload: []byte(offline), QoS: 1, Retain: true},
	}
	if b.opts.User != "" {
		p.Username, p.UsernameFlag = b.opts.User, true
	}
	if b.opts.PasswordFile != "" {
		password, err := atomicfile.Read(b.opts.PasswordFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w; fix: let the user who runs the gateway read it, or correct home_assistant.password_file", err)
		}
		if err != nil {
			return nil, err
		}
		p.Password, p.PasswordFlag = []byte(strings.TrimRight(string(password), "\r\n")), true
	}
	return p, nil
}

// received handles a message, on a goroutine of the client.
func (b *Bridge) received(topic string, payload []byte, retained bool) {
	switch topic {
	case status:
		b.statusIs(string(payload))
	case b.topics.config:
		if retained {
			b.mu.Lock()
			b.earlier = payload
			b.mu.Unlock()
			b.poke()
		}
	default:
		b.receive(topic, payload, retained)
	}
}

// statusIs notes that Home Assistant has started or ended.
func (b *Bridge) statusIs(payload string) {
	b.mu.Lock()
	b.offline = payload == offline
	b.begun = b.begun || payload == online
	b.mu.Unlock()
	if payload == offline {
		b.lost()
	}
	b.poke()
}

// serve publishes until ctx ends, which is no error, or the connection does.
func (l *link) serve(ctx context.Context, failed <-chan error) error {
	l.mu.Lock()
	l.offline, l.begun, l.earlier = false, false, nil
	l.mu.Unlock()
	if err := l.begin(ctx); err != nil {
		return err
	}
	l.opts.Log.Info("connected to the broker of home assistant", "broker", l.opts.Broker.Redacted(), "device", l.opts.ID, "commands", l.opts.MaxRun > 0)
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	wake := l.wake // nil for a short time after a publication
	var rest <-chan time.Time
	for {
		var err error
		select {
		case <-ctx.Done():
			return l.farewell(ctx)
		case err = <-failed:
			return err
		case <-l.client.Done():
			select {
			case err = <-failed: // the client says why once it has ended
			case <-time.After(soon):
				err = errors.New("the connection has ended")
			}
			return err
		case <-wake:
			wake, rest = nil, time.After(soon)
			if err = l.news(ctx); err == nil {
				err = l.publishAll(ctx, slices.Concat(l.motorStates(), l.alarmStates()))
			}
		case <-rest:
			wake = l.wake
		case <-ticks.C:
			l.keepalive()
			err = l.publishAll(ctx, l.sensorStates())
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// begin subscribes, and publishes all that there is.
func (l *link) begin(ctx context.Context) error {
	subscribe := &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
		{Topic: status, QoS: 1},
		{Topic: l.topics.config, QoS: 1, NoLocal: true, RetainAsPublished: true},
	}}
	if l.opts.MaxRun > 0 { // retained commands are not sent, and those to be retained are marked
		subscribe.Subscriptions = append(subscribe.Subscriptions, paho.SubscribeOptions{Topic: l.topics.commands(), QoS: 1, RetainHandling: 2, RetainAsPublished: true})
	}
	if _, err := l.client.Subscribe(ctx, subscribe); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return l.introduce(ctx)
}

// introduce announces the device, and publishes all states.
func (l *link) introduce(ctx context.Context) error {
	clear(l.sent)
	if err := l.retain(ctx, l.topics.config, marshal(l.announcement())); err != nil {
		return err
	}
	if err := l.retain(ctx, l.topics.availability, online); err != nil {
		return err
	}
	return l.publishAll(ctx, slices.Concat(l.sensorStates(), l.motorStates(), l.alarmStates()))
}

// news handles an earlier announcement from the broker, and a start of Home Assistant.
func (l *link) news(ctx context.Context) error {
	l.mu.Lock()
	begun, earlier := l.begun, l.earlier
	l.begun, l.earlier = false, nil
	l.mu.Unlock()
	if earlier != nil {
		if d, some := withRemovals(l.announcement(), earlier); some {
			if err := l.retain(ctx, l.topics.config, marshal(d)); err != nil {
				return err
			}
			begun = true // announced again, without what was removed
		}
	}
	if begun {
		return l.introduce(ctx)
	}
	return nil
}

// farewell says that the gateway is offline, before the connection ends in order.
func (l *link) farewell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.retain(ctx, l.topics.availability, offline) // if this fails, the will says so later
	return nil
}

// publishAll publishes what has changed.
func (l *link) publishAll(ctx context.Context, messages []message) error {
	for _, m := range messages {
		if l.sent[m.topic] == m.payload {
			continue
		}
		if err := l.publish(ctx, &paho.Publish{Topic: m.topic, Payload: []byte(m.payload)}); err != nil {
			return err
		}
		l.sent[m.topic] = m.payload
	}
	return nil
}

// retain publishes what the broker keeps, and waits until it has it.
func (l *link) retain(ctx context.Context, topic, payload string) error {
	return l.publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true})
}

func (l *link) publish(ctx context.Context, p *paho.Publish) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if _, err := l.client.Publish(ctx, p); err != nil {
		return fmt.Errorf("publish on %s: %w", p.Topic, err)
	}
	return nil
}
