package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/wire"
)

// noSubscribers is the reason of a PUBACK (MQTT 5.0, section 3.4.2.1): the broker has taken
// the message, but nobody subscribes to its topic.
const noSubscribers = 0x10

// Site is the hub's connection to the broker for a site. While there is none, what is known
// of its gateways may be out of date.
type Site struct {
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Since     int64  `json:"since"` // Unix ms
	Reason    string `json:"reason,omitempty"`
	// Connections is how often it has been connected since the hub's start.
	Connections int64 `json:"-"`
}

// Sites returns the sites of the hub, by name.
func (g *Registry) Sites() []Site {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []Site{} // not nil, so that it is [] in JSON
	for _, in := range g.intakes {
		in.mu.Lock()
		all = append(all, in.state)
		in.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Site) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// connected notes that there is a connection or, with an error, why there is none.
func (in *Intake) connected(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state.Connected != (err == nil) {
		in.state.Connected, in.state.Since = err == nil, in.g.o.Now().UnixMilli()
	}
	in.state.Reason = ""
	if err != nil {
		in.state.Reason = err.Error()
	} else {
		in.state.Connections++
	}
}

// ask asks all gateways for their hello, if the hub may have missed one: because it was just
// started, and may not have stored the last one, or because the broker lost the session.
func (in *Intake) ask(ctx context.Context, fresh bool) {
	in.mu.Lock()
	began := in.began
	in.began = true
	in.mu.Unlock()
	if began && !fresh {
		return
	}
	all := fleet.Gateway{Site: in.o.Site, Name: fleet.All}
	number := in.g.renumber(nil)
	o := fleet.Order{Site: all.Site, Gateway: all.Name, Kind: fleet.Ask, Hub: in.g.o.Hub, Counter: number, Body: wire.JSON(fleet.Question{Ask: fleet.AskHello})}
	o.Until(nil, time.Time{}, in.g.o.Now(), fleet.AskExpiry)
	payload, err := fleet.Sign(in.g.o.Key, o)
	if err == nil {
		sending, cancel := context.WithTimeout(ctx, fleet.CmdExpiry)
		_, err = in.g.publish(sending, all, fleet.Ask, payload, number) // that nobody subscribes is no error
		cancel()
	}
	in.g.counts.Order(fleet.Ask, err)
	if err != nil {
		in.log.Warn("the gateways could not be asked for their states: what is known of them may be old", "err", err)
	}
}

// publish gives an order to the broker of the gateway's site, and returns the reason of
// its answer.
func (g *Registry) publish(ctx context.Context, at fleet.Gateway, k fleet.Kind, payload []byte, number uint64) (reason byte, err error) {
	g.mu.Lock()
	in := g.intakes[at.Site]
	g.mu.Unlock()
	if in == nil {
		return 0, errors.New("the site " + at.Site + " is not one of this hub's")
	}
	client := in.client.Load()
	if client == nil {
		return 0, errors.New("the hub has no connection to the broker of the site " + at.Site)
	}
	expiry := uint32(k.Expiry().Seconds())
	p := &paho.Publish{Topic: at.Topic(k), QoS: 1, Payload: payload, Properties: &paho.PublishProperties{
		MessageExpiry: &expiry, CorrelationData: correlation(number),
	}}
	if at.Name != fleet.All { // each gateway answers on a topic of its own
		p.Properties.ResponseTopic = at.AnswerTopic(g.o.Hub)
	}
	ack, err := client.Publish(ctx, p)
	switch {
	case ack != nil && ack.ReasonCode >= 0x80:
		return ack.ReasonCode, fmt.Errorf("the broker refused it: %s; fix: check what the broker lets %s do", mqtt.Reason(ack.ReasonCode), g.o.Hub)
	case err != nil:
		return 0, err
	}
	return ack.ReasonCode, nil
}
