package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
)

// rightsFix says where a gateway's rights are.
const rightsFix = "give gateways the rights of configs/mosquitto.acl; in RabbitMQ import the list of gateway hub list --rabbitmq"

// Limits of a broker that are enough.
const (
	enoughPacket  = fleet.MaxNews // bytes: hello with many sensors
	enoughFlying  = 16            // messages: with fewer, a line with a long round trip is not filled
	enoughAliases = 3             // up, live and news
	trips         = 5             // of which the median is taken
)

// checkLimits reads what the broker says of itself when it lets one in.
func (t *trial) checkLimits(s *session) {
	p := s.ack.Properties
	if p == nil {
		t.add("limits", doctor.Pass, "", "none that it says")
		return
	}
	var said, wrong []string
	fix := ""
	note := func(what string, bad bool, why, how string) {
		said = append(said, what)
		if bad {
			wrong, fix = append(wrong, why), how
		}
	}
	if n := p.MaximumPacketSize; n != nil {
		note(fmt.Sprintf("packets of %d bytes", *n), *n < enoughPacket, fmt.Sprintf("a message of news has up to %d bytes", enoughPacket), "raise it: message_size_limit of Mosquitto, mqtt.max_packet_size_authenticated of RabbitMQ")
	}
	if n := p.ReceiveMaximum; n != nil {
		note(fmt.Sprintf("%d messages under way", *n), *n < enoughFlying, "so few do not fill a line with a long round trip", "raise it: max_inflight_messages of Mosquitto, mqtt.prefetch of RabbitMQ")
	}
	aliases := uint16(0)
	if p.TopicAliasMaximum != nil {
		aliases = *p.TopicAliasMaximum
	}
	note(fmt.Sprintf("%d topic aliases", aliases), false, "", "") // without them each message has its topic, some 20 bytes
	expiry := uint32(sessionSeconds)
	if p.SessionExpiryInterval != nil {
		expiry = *p.SessionExpiryInterval
	}
	note(fmt.Sprintf("sessions for %d s", expiry), expiry < sessionSeconds, "so hubs are told at once, and not after 10 s, that the gateway is offline", "raise it: mqtt.max_session_expiry_interval_seconds of RabbitMQ")
	if p.ServerKeepAlive != nil {
		said = append(said, fmt.Sprintf("keep-alive of %d s", *p.ServerKeepAlive))
	}
	if q := p.MaximumQoS; q != nil && *q < 1 {
		t.add("limits", doctor.Fail, "use a broker that confirms messages (QoS 1)", "%s; it takes QoS %d only", strings.Join(said, ", "), *q)
		return
	}
	if len(wrong) > 0 {
		t.add("limits", doctor.Warn, fix, "%s; %s", strings.Join(said, ", "), strings.Join(wrong, "; "))
		return
	}
	if aliases < enoughAliases {
		said = append(said, "so each message has its whole topic")
	}
	t.add("limits", doctor.Pass, "", "%s", strings.Join(said, ", "))
}

// checkTruth publishes some messages to which nobody can have subscribed. A broker must say
// so (0x10): one that does not would lose readings while it knows of no hub.
func (t *trial) checkTruth(ctx context.Context, s *session) {
	topic := t.id.Gateway.AnswerTopic(t.secret)
	var took []time.Duration
	for range trips {
		begin := time.Now()
		reason, err := s.publish(ctx, topic)
		if text, refused := denied(reason, err); refused { // the rights are checked next
			t.add("confirms", doctor.Skip, "", "what nobody subscribes to is not taken: %s", text)
			return
		}
		took = append(took, time.Since(begin))
		if reason != noSubscribers {
			t.add("confirms", doctor.Fail, "use a broker that answers 0x10 when nobody subscribes (Mosquitto 2, RabbitMQ 4), and end whoever subscribes to gw/#",
				"it confirms with %s what nobody can have subscribed to: readings would be lost while it knows of no hub", mqtt.Reason(reason))
			return
		}
	}
	slices.Sort(took)
	t.add("confirms", doctor.Pass, "", "it says when nobody subscribes; %s until a message is confirmed, %s at most", short(took[trips/2]), short(took[trips-1]))
}

// checkPublish publishes probes on the gateway's own topics.
func (t *trial) checkPublish(ctx context.Context, s **session) {
	g := t.id.Gateway
	var may, not []string
	heard := byte(0)
	for _, kind := range []fleet.Kind{fleet.Up, fleet.News, fleet.Here, fleet.Live, fleet.Answer} {
		topic := g.Topic(kind)
		if kind == fleet.Answer {
			topic = g.AnswerTopic(t.secret)
		}
		reason, err := t.publish(ctx, s, topic)
		switch text, refused := denied(reason, err); {
		case kind == fleet.Up && (reason == 0x83 || reason == 0x97):
			heard = reason
			may = append(may, string(kind))
		case refused:
			not = append(not, topic+" ("+text+")")
		default:
			may = append(may, string(kind))
			if kind == fleet.Up {
				heard = reason
			}
		}
	}
	if len(not) > 0 {
		t.add("publish", doctor.Fail, rightsFix, "it may not publish on %s", strings.Join(not, ", "))
		return
	}
	t.add("publish", doctor.Pass, "", "it may publish on its %s", strings.Join(may, ", "))
	switch heard {
	case 0:
		t.add("hub", doctor.Pass, "", "somebody subscribes to what it sends")
	case noSubscribers:
		t.add("hub", doctor.Warn, "start the hub of its site, with this broker: gateway hub --site "+g.Site, "nobody subscribes to what it sends: readings wait in its log")
	default:
		t.add("hub", doctor.Warn, "see which queue is full: a hub that is away does not take what the broker has for it", "the broker has no room (%s): readings wait in its log", mqtt.Reason(heard))
	}
}

// checkForeign tries to publish what only others may: readings of a gateway, and an
// order for one. There is no gateway of that name.
func (t *trial) checkForeign(ctx context.Context, s **session) {
	other := fleet.Gateway{Site: t.id.Gateway.Site, Name: t.secret}
	var may []string
	for _, kind := range []fleet.Kind{fleet.Up, fleet.News, fleet.Cmd} {
		reason, err := t.publish(ctx, s, other.Topic(kind))
		if _, refused := denied(reason, err); !refused {
			may = append(may, other.Topic(kind))
		}
	}
	if len(may) > 0 {
		t.add("others", doctor.Fail, rightsFix, "it may publish as another gateway or a hub, on %s: whoever has this device can send others' readings", strings.Join(may, ", "))
		return
	}
	t.add("others", doctor.Pass, "", "it may publish neither as another gateway nor as a hub")
}

// checkOrders subscribes as the gateway does. Whatever is retained there would be an
// order for whoever connects.
func (t *trial) checkOrders(ctx context.Context, s **session) {
	filters := t.id.Gateway.Orders()
	granted, err := t.subscribe(ctx, s, filters...)
	if err != nil {
		t.add("orders", doctor.Fail, rightsFix, "subscribe: %v", err)
		return
	}
	var not []string
	for i, code := range granted {
		if code != 1 {
			not = append(not, filters[i]+" ("+mqtt.Reason(code)+")")
		}
	}
	if len(not) > 0 {
		t.add("orders", doctor.Fail, rightsFix, "it may not subscribe with QoS 1 to %s", strings.Join(not, ", "))
	} else {
		t.add("orders", doctor.Pass, "", "it may subscribe to its cmd, ask and watch, and to the site's ask")
	}
	var left []string
	for _, p := range (*s).collect(ctx) {
		if p.Retain {
			left = append(left, p.Topic)
		}
	}
	if len(left) > 0 {
		t.add("retained", doctor.Warn, "remove each: mosquitto_pub -V 5 -r -n -t TOPIC, as somebody who may publish there; retain_available false keeps it from coming back",
			"something is retained on %s: nothing of the fleet is, and gateways refuse it", strings.Join(left, ", "))
		return
	}
	t.add("retained", doctor.Pass, "", "nothing on the topics of its orders")
}

// checkEavesdrop subscribes to the news of all gateways of the site, and publishes a
// probe there: a broker may grant a subscription and still pass nothing on.
func (t *trial) checkEavesdrop(ctx context.Context, s **session) {
	all := fleet.Gateway{Site: t.id.Gateway.Site, Name: "+"}
	granted, err := t.subscribe(ctx, s, all.Topic(fleet.News))
	reason := byte(0)
	if len(granted) > 0 {
		reason = granted[0]
	}
	if text, refused := denied(reason, err); refused {
		t.add("secrecy", doctor.Pass, "", "it may not subscribe to what gateways send: %s", text)
		return
	}
	if _, err := t.publish(ctx, s, t.id.Gateway.Topic(fleet.News)); err != nil {
		t.add("secrecy", doctor.Skip, "", "%v", err)
		return
	}
	own, others := 0, map[string]bool{}
	for _, p := range (*s).collect(ctx) {
		switch topic, err := fleet.ParseTopic(p.Topic); {
		case err != nil || topic.Kind != fleet.News:
		case topic.Gateway == t.id.Gateway:
			own++
		default:
			others[topic.Name] = true
		}
	}
	switch {
	case len(others) > 0:
		t.add("secrecy", doctor.Fail, rightsFix, "it may read what other gateways send: something of %d came meanwhile", len(others))
	case own > 0:
		t.add("secrecy", doctor.Warn, rightsFix, "it may read what gateways send, its own news at least")
	default:
		t.add("secrecy", doctor.Pass, "", "what gateways send is not passed on to it")
	}
}
