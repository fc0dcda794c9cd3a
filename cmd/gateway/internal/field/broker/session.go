package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
)

const (
	notAuthorized  = 0x87
	noSubscribers  = 0x10
	badClientID    = 0x85
	maxReceived    = 64
	maxPacket      = fleet.MaxNews + 4096
	sessionSeconds = 10 // as the uplink asks for
)

// session is a connection to the broker.
type session struct {
	client *paho.Client
	ack    *paho.Connack
	id     string             // of the client
	got    chan *paho.Publish // what came; what finds no room is dropped

	mu    sync.Mutex
	ended error // why the broker has ended the connection
}

func (s *session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
	}
}

// why returns why the connection has ended; if that is not known, err.
func (s *session) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	return err
}

// close ends the session in order, and nothing of it stays with the broker.
func (s *session) close() {
	none := uint32(0)
	_ = s.client.Disconnect(&paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: &none}}) // it fails if the session has ended
	<-s.client.Done()
}

// connect opens a session. ack is there if the broker has answered; seen is called with
// the state of TLS.
func (t *trial) connect(ctx context.Context, id string, seen func(tls.ConnectionState)) (s *session, ack *paho.Connack, err error) {
	o := mqtt.Options{WriteTimeout: stepTime}
	if t.id.TLS != nil {
		o.TLS = t.id.TLS.Clone()
		o.TLS.VerifyConnection = func(state tls.ConnectionState) error { seen(state); return nil }
	}
	conn, err := mqtt.Dial(ctx, t.broker, o)
	if err != nil {
		return nil, nil, err
	}
	s = &session{id: id, got: make(chan *paho.Publish, maxReceived)}
	s.client = paho.NewClient(paho.ClientConfig{
		Conn: conn, PacketTimeout: stepTime, OnClientError: s.end,
		OnServerDisconnect: func(d *paho.Disconnect) { s.end(mqtt.Disconnected(d.ReasonCode)) },
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			select {
			case s.got <- p.Packet:
			default:
			}
			return true, nil
		}},
	})
	expiry, received, packet := uint32(sessionSeconds), uint16(maxReceived), uint32(maxPacket)
	p := &paho.Connect{ClientID: id, KeepAlive: uint16(fleet.KeepAlive / time.Second), CleanStart: true,
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry, ReceiveMaximum: &received, MaximumPacketSize: &packet}}
	if t.id.User != "" {
		p.Username, p.UsernameFlag, p.Password, p.PasswordFlag = t.id.User, true, t.id.Password, len(t.id.Password) > 0
	}
	s.ack, err = s.client.Connect(ctx, p)
	if err != nil { // Connect has closed the connection
		return nil, s.ack, mqtt.Explain(err)
	}
	return s, s.ack, nil
}

// try tries something. If there is no answer it is tried again, on another connection: a
// broker may have ended this one because of what was tried before.
func (t *trial) try(ctx context.Context, s **session, do func(*session) error) error {
	err := do(*s)
	if err == nil || ctx.Err() != nil {
		return err
	}
	(*s).close()
	fresh, _, failed := t.connect(ctx, (*s).id, func(tls.ConnectionState) {})
	if failed != nil {
		return fmt.Errorf("%w; and then: connect again: %w", err, failed)
	}
	*s = fresh
	return do(fresh)
}

// publish is [session.publish], tried again.
func (t *trial) publish(ctx context.Context, s **session, topic string) (reason byte, err error) {
	err = t.try(ctx, s, func(s *session) (err error) { reason, err = s.publish(ctx, topic); return err })
	return reason, err
}

// subscribe is [session.subscribe], tried again.
func (t *trial) subscribe(ctx context.Context, s **session, filters ...string) (granted []byte, err error) {
	err = t.try(ctx, s, func(s *session) (err error) { granted, err = s.subscribe(ctx, filters...); return err })
	return granted, err
}

// checkConnect connects as the gateway, with another client ID.
func (t *trial) checkConnect(ctx context.Context) (*session, bool) {
	var state *tls.ConnectionState
	seen := func(now tls.ConnectionState) { state = &now }
	begin, id := time.Now(), t.id.Gateway.Name+".doctor-"+t.secret
	s, ack, err := t.connect(ctx, id, seen)
	if ack != nil && ack.ReasonCode == badClientID && t.Alone {
		id = t.id.Gateway.Name
		s, ack, err = t.connect(ctx, id, seen)
	}
	took := time.Since(begin)
	if state != nil {
		t.secured(*state)
	}
	switch {
	case err == nil:
		t.add("connect", doctor.Pass, "", "let in as %s after %s", t.who(), short(took))
		return s, true
	case ack != nil && ack.ReasonCode == badClientID:
		t.add("connect", doctor.Skip, "stop the gateway to try it with its own: sudo systemctl stop gateway", "the broker takes no client ID but the gateway's, which runs: a second connection would end its own")
	case ack != nil:
		t.add("connect", doctor.Fail, t.fixOf(ack.ReasonCode), "refused: %s", mqtt.Reason(ack.ReasonCode))
	case state == nil && t.broker.Scheme == "mqtts":
		t.add("tls", doctor.Fail, "", "%v", errors.Join(unverified(err), err))
	default:
		t.add("connect", doctor.Fail, "", "%v", err)
	}
	return nil, false
}

// unverified describes the certificate that was not taken; nil: none was shown.
func unverified(err error) error {
	e, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(e.UnverifiedCertificates) == 0 {
		return nil
	}
	return errors.New(certificate(e.UnverifiedCertificates[0]))
}

// who is how the broker knows the gateway.
func (t *trial) who() string {
	switch {
	case t.id.User != "":
		return "the user " + t.id.User
	case t.id.TLS != nil && len(t.id.TLS.Certificates) > 0:
		return t.id.Gateway.Name + ", by its certificate"
	}
	return "anybody"
}

// fixOf is what to do about a reason of a CONNACK.
func (t *trial) fixOf(reason byte) string {
	switch reason {
	case 0x84:
		return "use a broker that speaks MQTT 5: Mosquitto 2, RabbitMQ 4"
	case 0x86, notAuthorized:
		if t.id.User != "" {
			return "correct uplink.user and its password, or let the broker know them (mosquitto_passwd)"
		}
		return "let the broker know " + t.id.Gateway.Name + ": RabbitMQ needs the list of gateway hub list --rabbitmq; without certificates write user and password_file under uplink"
	case 0x88, 0x89, 0x97, 0x9F:
		return "see the broker's log: it has no room for another connection now"
	case 0x8A:
		return "see the broker's log: who has banned " + t.id.Gateway.Name + "; hubs revoke with gateway hub revoke"
	}
	return "see the broker's log"
}

// publish publishes a probe, and returns the reason of the PUBACK; an error says that the
// broker has ended the connection instead, or answered nothing.
func (s *session) publish(ctx context.Context, topic string) (reason byte, err error) {
	expiry := uint32(fleet.ProbeExpiry)
	r, err := s.client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(fleet.Probe), Properties: &paho.PublishProperties{MessageExpiry: &expiry}})
	if r != nil {
		return r.ReasonCode, nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, fmt.Errorf("the broker has answered nothing for %s", stepTime)
	}
	return 0, s.why(err)
}

// subscribe subscribes, and returns the reasons of the SUBACK.
func (s *session) subscribe(ctx context.Context, filters ...string) ([]byte, error) {
	p := &paho.Subscribe{}
	for _, f := range filters { // with what is retained, each time
		p.Subscriptions = append(p.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: 1, RetainAsPublished: true})
	}
	granted, err := s.client.Subscribe(ctx, p)
	if granted != nil {
		return granted.Reasons, nil
	}
	return nil, s.why(err)
}

// collect returns what comes until nothing has for a while: messages may be passed on
// after the answer to what was sent behind them.
func (s *session) collect(ctx context.Context) (all []*paho.Publish) {
	late := time.NewTimer(lateTime)
	defer late.Stop()
	for len(all) < maxReceived {
		select {
		case p := <-s.got:
			all = append(all, p)
		case <-late.C:
			return all
		case <-s.client.Done():
			return all
		case <-ctx.Done():
			return all
		}
	}
	return all
}

// denied returns whether a broker did not do what it was asked for, and why, in words.
func denied(reason byte, err error) (text string, refused bool) {
	switch {
	case err != nil:
		return err.Error(), true
	case reason >= packets.PubackUnspecifiedError:
		return mqtt.Reason(reason), true
	}
	return "", false
}
