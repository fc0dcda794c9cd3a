package fleet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sensorgateway/wire"
)

// key returns the n-th key of these tests, always the same.
func key(n byte) ed25519.PrivateKey { return keys[n] }

var keys = func() (all [4]ed25519.PrivateKey) {
	for n := range all {
		all[n] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(n)}, ed25519.SeedSize))
	}
	return all
}()

func publicOf(n byte) ed25519.PublicKey { return key(n).Public().(ed25519.PublicKey) }

const (
	present = 1_700_000_000_000 // Unix ms
	nonce   = "6b1f"
)

var (
	pi    = Gateway{"lab", "pi-7"}
	start = json.RawMessage(`{"type":"command","id":1,"payload":{"action":"start","target":"fan","speed":0.5}}`)
	stop  = json.RawMessage(`{"type":"command","id":1,"payload":{"action":"stop","target":"fan"}}`)
	estop = json.RawMessage(`{"type":"command","payload":{"action":"estop","odd":[]}}`)
)

// An orderCase is an order as it comes to the gateway pi, whose hubs have the keys 1 and 2.
type orderCase struct {
	order    Order
	key      byte
	topic    string
	retained bool
	spoil    func(payload []byte) []byte
	synced   bool
	uptime   int64
}

func newCase(kind Kind, body json.RawMessage) *orderCase {
	return &orderCase{
		order: Order{Site: pi.Site, Gateway: pi.Name, Kind: kind, Hub: "hub-a", Nonce: nonce, Counter: 7, Expires: present + 5000, By: "ahmet", Client: "c1", Body: body},
		key:   1, topic: pi.Topic(kind), synced: true, uptime: 10_000,
	}
}

func (c *orderCase) verifier() *Verifier {
	return &Verifier{
		Gateway: pi, Nonce: nonce, Keys: func() []ed25519.PublicKey { return []ed25519.PublicKey{publicOf(1), publicOf(2)} },
		Clock: func() Clock { return Clock{Unix: present, Synced: c.synced, Uptime: c.uptime} },
	}
}

func (c *orderCase) message(t *testing.T) Message {
	payload, err := Sign(key(c.key), c.order)
	if err != nil {
		t.Fatal(err)
	}
	if c.spoil != nil {
		payload = c.spoil(payload)
	}
	return Message{c.topic, payload, c.retained}
}

// defects are what can be wrong with an order, and the code of the refusal. With an authentic
// defect, the order is still signed by a hub for this gateway: a stop is carried out.
var defects = map[string]struct {
	code      int
	authentic bool
	make      func(*orderCase)
}{
	"late":                   {408, true, func(c *orderCase) { c.order.Expires = present }},
	"late by uptime":         {408, true, func(c *orderCase) { c.order.Expires, c.order.UptimeMS = 0, c.uptime }},
	"valid for too long":     {408, true, func(c *orderCase) { c.order.Expires = present + MaxValid.Milliseconds() + 1 }},
	"clock not synchronised": {408, true, func(c *orderCase) { c.synced = false }},
	"no expiry":              {422, true, func(c *orderCase) { c.order.Expires, c.order.UptimeMS = 0, 0 }},
	"two expiries":           {422, true, func(c *orderCase) { c.order.Expires, c.order.UptimeMS = present+1000, c.uptime+1000 }},
	"expires before 1970":    {422, true, func(c *orderCase) { c.order.Expires = -1 }},
	"retained":               {409, true, func(c *orderCase) { c.retained = true }},
	"of another start":       {409, true, func(c *orderCase) { c.order.Nonce = "0000" }},
	"without nonce":          {409, true, func(c *orderCase) { c.order.Nonce = "" }},
	"unknown key":            {403, false, func(c *orderCase) { c.key = 3 }},
	"of another site":        {403, false, func(c *orderCase) { c.order.Site = "roof" }},
	"for another gateway":    {403, false, func(c *orderCase) { c.order.Gateway = "pi-8" }},
	"for all":                {403, false, func(c *orderCase) { c.order.Gateway = All }},
	"on another's topic":     {403, false, func(c *orderCase) { c.topic = Gateway{"lab", "pi-8"}.Topic(c.order.Kind) }},
	"on the topic of all":    {403, false, func(c *orderCase) { c.topic = Gateway{"lab", All}.Topic(Ask) }},
	"of another kind":        {403, false, func(c *orderCase) { c.topic = pi.Topic(Watch) }},
	"not a topic":            {400, false, func(c *orderCase) { c.topic = "gw/v1/lab" }},
	"hub without name":       {422, false, func(c *orderCase) { c.order.Hub = "a/b" }},
	"by not printable":       {422, false, func(c *orderCase) { c.order.By = "a\n" }},
	"text changed":           {403, false, func(c *orderCase) { c.spoil = flip(-3) }},
	"signature changed":      {403, false, func(c *orderCase) { c.spoil = flip(40) }},
	"key's name changed":     {403, false, func(c *orderCase) { c.spoil = flip(2) }},
	"cut":                    {403, false, func(c *orderCase) { c.spoil = func(p []byte) []byte { return p[:len(p)-1] } }},
	"more":                   {403, false, func(c *orderCase) { c.spoil = func(p []byte) []byte { return append(p, ' ') } }},
	"no signature":           {400, false, func(c *orderCase) { c.spoil = func(p []byte) []byte { return p[seal+1:] } }},
	"empty":                  {400, false, func(c *orderCase) { c.spoil = func([]byte) []byte { return nil } }},
	"too long":               {400, false, func(c *orderCase) { c.spoil = func(p []byte) []byte { return append(p, make([]byte, MaxOrder)...) } }},
	"signature of another": {403, false, func(c *orderCase) {
		c.spoil = func(p []byte) []byte {
			other, _ := Sign(key(1), Order{Site: pi.Site, Gateway: pi.Name, Kind: Cmd, Hub: "hub-a", Body: stop})
			return append(slices.Clone(other[:seal]), p[seal:]...)
		}
	}},
}

// flip changes a byte to another one that can stand there, from the end if at is negative.
func flip(at int) func([]byte) []byte {
	return func(p []byte) []byte {
		i := at
		if i < 0 {
			i += len(p)
		}
		if p[i]++; p[i] == '{' || p[i] == '[' {
			p[i] = 'A'
		}
		return p
	}
}

func TestVerify(t *testing.T) {
	bodies := map[string]json.RawMessage{"start": start, "stop": stop, "estop": estop}
	for body, raw := range bodies {
		c := newCase(Cmd, raw)
		o, warning, err := c.verifier().Verify(c.message(t))
		if err != nil || warning != "" || o.By != "ahmet" || string(o.Body) != string(raw) {
			t.Errorf("%s: %+v, %q, %v", body, o, warning, err)
		}
		for name, d := range defects {
			c := newCase(Cmd, raw)
			d.make(c)
			o, warning, err := c.verifier().Verify(c.message(t))
			if body != "start" && d.authentic {
				if err != nil || warning == "" || string(o.Body) != string(raw) {
					t.Errorf("%s, %s: not carried out: %q, %v", body, name, warning, err)
				}
				continue
			}
			var e *wire.Error
			if !errors.As(err, &e) || e.Code != d.code || (o.Hub == "hub-a") != d.authentic {
				t.Errorf("%s, %s: %+v, %v, want %d", body, name, o, err, d.code)
			}
		}
	}
}

// A message counts once, and only if no later one of its hub and kind came before.
func TestCounters(t *testing.T) {
	v := newCase(Cmd, start).verifier()
	send := func(hub byte, kind Kind, counter uint64, body json.RawMessage) error {
		c := newCase(kind, body)
		c.key, c.order.Counter = hub, counter
		_, _, err := v.Verify(c.message(t))
		return err
	}
	ask, watch := json.RawMessage(`{"ask":"hello","since":0,"until":0}`), json.RawMessage(`{"hz":10}`)
	steps := []struct {
		hub     byte
		kind    Kind
		counter uint64
		body    json.RawMessage
		ok      bool
	}{
		{1, Cmd, 0, start, true}, {1, Cmd, 0, start, false}, {1, Cmd, 9, start, true}, {1, Cmd, 8, start, false}, {1, Cmd, 9, start, false},
		{2, Cmd, 1, start, true}, {1, Ask, 1, ask, true}, {1, Ask, 1, ask, false}, {1, Watch, 1, watch, true},
		{1, Cmd, 9, stop, true}, {1, Cmd, 5, estop, true}, {1, Cmd, 10, start, true}, {1, Cmd, 1<<64 - 1, start, true}, {1, Cmd, 11, start, false}, {1, Cmd, 12, stop, true},
	}
	for i, s := range steps {
		if err := send(s.hub, s.kind, s.counter, s.body); (err == nil) != s.ok {
			t.Errorf("step %d, %+v: %v", i, s, err)
		}
	}
}

// A refused order uses up no counter: whoever cannot sign cannot shut a hub out.
func TestRefusedCountsNot(t *testing.T) {
	for name, d := range defects {
		v := newCase(Cmd, start).verifier()
		c := newCase(Cmd, start)
		c.order.Counter = 1 << 60
		d.make(c)
		v.Clock = c.verifier().Clock
		_, _, _ = v.Verify(c.message(t))
		good := newCase(Cmd, start)
		v.Clock = good.verifier().Clock
		if _, _, err := v.Verify(good.message(t)); err != nil {
			t.Errorf("after one that was %s: %v", name, err)
		}
	}
}

// A gateway without a clock is commanded by its uptime.
func TestUptime(t *testing.T) {
	c := newCase(Cmd, start)
	c.synced, c.order.Expires, c.order.UptimeMS = false, 0, c.uptime+5000
	if _, _, err := c.verifier().Verify(c.message(t)); err != nil {
		t.Error(err)
	}
}

func TestAskAll(t *testing.T) {
	c := newCase(Ask, json.RawMessage(`{"ask":"hello","since":0,"until":0}`))
	c.order.Gateway, c.order.Nonce, c.topic = All, "", "gw/v1/lab/all/ask"
	o, _, err := c.verifier().Verify(c.message(t))
	if err != nil {
		t.Fatal(err)
	}
	if q, err := o.Question(); err != nil || q.Ask != AskHello {
		t.Errorf("%+v, %v", q, err)
	}
	for _, body := range []string{`{"ask":"readings","sensor":"indoor","epoch":"e1","since":0,"until":5}`, `{"ask":"machine","since":0,"until":0}`} {
		o.Body = json.RawMessage(body)
		if q, err := o.Question(); wire.AsError(err).Code != 403 {
			t.Errorf("%s of all: %+v, %v", body, q, err)
		}
	}
	c.order.Expires, c.order.UptimeMS = 0, c.uptime+1000
	if _, _, err := c.verifier().Verify(c.message(t)); wire.AsError(err).Code != 422 {
		t.Errorf("an uptime for all: %v", err)
	}
}

func TestBodies(t *testing.T) {
	for body, code := range map[string]int{
		`{"ask":"state","since":0,"until":0}`: 0, `{"ask":"machine","since":0,"until":0}`: 0, `{"ask":"readings","sensor":"a","epoch":"e","since":4294967295,"until":3}`: 0,
		`{"ask":"readings","sensor":"a","epoch":"e","since":4,"until":3}`: 422, `{"ask":"readings","since":0,"until":3}`: 422,
		`{"ask":"weather"}`: 404, `{"ask":"hello","more":1}`: 422, `[]`: 422, `{"ask":"hello"} x`: 422,
	} {
		if _, err := (Order{Body: json.RawMessage(body)}).Question(); (err == nil) != (code == 0) || err != nil && wire.AsError(err).Code != code {
			t.Errorf("%s: %v, want %d", body, err, code)
		}
	}
	for body, ok := range map[string]bool{`{"hz":10}`: true, `{"hz":0}`: true, `{"hz":-1}`: false, `{"hz":101}`: false, `{"hz":"10"}`: false, `{"hz":1,"x":1}`: false, `7`: false} {
		if _, err := (Order{Body: json.RawMessage(body)}).View(); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestOrderGolden(t *testing.T) {
	for name, body := range map[string]json.RawMessage{"start": start, "stop": stop} {
		payload, err := Sign(key(1), newCase(Cmd, body).order)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", payload)
	}
	for _, bad := range []json.RawMessage{nil, json.RawMessage("{"), json.RawMessage(`"` + strings.Repeat("x", MaxOrder) + `"`)} {
		if p, err := Sign(key(1), Order{Body: bad}); err == nil {
			t.Errorf("%.20q was signed: %.60q", bad, p)
		}
	}
}

// Any number of defects together, in any order of messages: only timely orders of a hub are
// carried out, each once, and stops that a hub has signed for this gateway.
func TestGeneratedOrders(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 16))
	names := slices.Sorted(maps.Keys(defects))
	v := newCase(Cmd, start).verifier()
	taken, starts, stops := map[string]bool{}, 0, 0
	var recorded []Message
	for n := range 10_000 {
		stopping := rnd.IntN(3) == 0
		c := newCase(Cmd, start)
		if stopping {
			c.order.Body = stop
		}
		c.order.Counter = uint64(n + 1)
		good, authentic := true, true
		for range max(rnd.IntN(4)-1, 0) {
			d := defects[names[rnd.IntN(len(names))]]
			before := fmt.Sprint(c.order, c.key, c.topic, c.retained, c.synced, c.spoil != nil)
			d.make(c)
			good = good && before == fmt.Sprint(c.order, c.key, c.topic, c.retained, c.synced, c.spoil != nil)
			authentic = authentic && d.authentic
		}
		m := c.message(t)
		v.Clock = c.verifier().Clock
		replayed := len(recorded) > 0 && rnd.IntN(4) == 0
		if replayed {
			m = recorded[rnd.IntN(len(recorded))]
		}
		o, warning, err := v.Verify(m)
		switch started := err == nil && string(o.Body) == string(start); {
		case started && (replayed || !good || warning != "" || taken[string(m.Payload)]):
			t.Fatalf("case %d: a start with %q was carried out: %s", n, warning, m.Payload)
		case started:
			taken[string(m.Payload)] = true
			starts++
		case err == nil:
			stops++
		case !replayed && stopping && authentic:
			t.Fatalf("case %d: a stop was refused: %v", n, err)
		case !replayed && good && !stopping:
			t.Fatalf("case %d: a good start was refused: %v", n, err)
		}
		if !replayed && good {
			recorded = append(recorded, m)
		}
	}
	if starts < 1000 || stops < 500 {
		t.Errorf("%d starts and %d stops were carried out: the cases are not those that they should be", starts, stops)
	}
}

func FuzzVerify(f *testing.F) {
	payload, _ := Sign(key(1), newCase(Cmd, start).order)
	f.Add(pi.Topic(Cmd), payload)
	f.Add(pi.Topic(Ask), []byte("nonsense"))
	f.Fuzz(func(t *testing.T, topic string, b []byte) {
		c := newCase(Cmd, start)
		o, _, err := c.verifier().Verify(Message{Topic: topic, Payload: b})
		if err == nil && !bytes.Equal(b, payload) { // only the owner of the key can make another one
			t.Errorf("%q was carried out: %+v", b, o)
		}
	})
}

// The text of an order is parsed only if it is signed: here as if it were.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(wire.JSON(newCase(Cmd, start).order)))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseOrder(b)
		if err != nil {
			return
		}
		_, _ = o.Question()
		_, _ = o.View()
		if again, err := parseOrder(wire.JSON(o)); err != nil {
			t.Errorf("%+v became %+v, %v", o, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"type":"machine","payload":{"load1":0.5}}`))
	f.Add([]byte(`{"type":"error","payload":{"code":409,"message":"no"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := ParseAnswer(b, TypeMachine)
		if err != nil && payload != nil || errors.As(err, &Refusal{}) != (err != nil && json.Valid(b)) {
			t.Errorf("%q and %v", payload, err)
		}
	})
}
