package fleet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"sensorgateway/wire"
)

// MaxOrder is how long an order can be, in bytes.
const MaxOrder = 16 << 10

// MaxValid is how long an order is valid at most: one that says more was made by a clock
// that differs from the gateway's, so nobody knows when it is late.
const MaxValid = time.Minute

// Order is what a hub signs. Its text, as JSON, follows the signature; what is verified is
// that text, byte by byte, so that two readers cannot read different orders in it.
type Order struct {
	Site    string `json:"site"`
	Gateway string `json:"gateway"` // [All] for a question to each of the site
	Kind    Kind   `json:"kind"`    // of the topic: [Cmd], [Ask] or [Watch]; or [Keys]
	Hub     string `json:"hub"`     // where the answer goes, see [Gateway.AnswerTopic]
	// Nonce is that of the gateway's newest hello, "" in an order for all.
	Nonce string `json:"nonce,omitempty"`
	// Counter grows with each order of a kind that is signed with the hub's key. It
	// need not begin at 0 nor grow by 1, and is to grow over restarts, whatever the clock says.
	Counter uint64 `json:"counter"`
	// An order has exactly one of these. Expires, Unix ms, is compared with the gateway's
	// clock, and refused while that is not synchronised. UptimeMS is compared with the
	// gateway's uptime, which its hello tells, and which is always right.
	Expires  int64 `json:"expires,omitempty"`
	UptimeMS int64 `json:"uptime_ms,omitempty"`

	By     string          `json:"by,omitempty"`     // who commands, for people
	Client string          `json:"client,omitempty"` // the hub's name of the connection or user that commands and has the lease
	Body   json.RawMessage `json:"body"`             // [Cmd]: an envelope as on the WebSocket; [Ask]: a [Question]; [Watch]: a [View]; [Keys]: a [KeyChange]

	// Signer is the fingerprint of the key that has signed it. [Verifier.Verify] sets it.
	Signer string `json:"-"`
}

// Until limits the order to so long from now: by the gateway's clock if h, its hello, says that
// this is synchronised, else by its uptime. h came at received; the time that it was under way
// makes the order expire earlier, never later.
func (o *Order) Until(h *Hello, received, now time.Time, valid time.Duration) {
	o.Expires, o.UptimeMS = 0, 0
	if h == nil || h.ClockSynced {
		o.Expires = now.Add(valid).UnixMilli()
		return
	}
	o.UptimeMS = h.UptimeMS + (now.Sub(received) + valid).Milliseconds()
}

// keyID is how a signature names its key: the beginning of the key's SHA-256.
type keyID [8]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

func idOf(key ed25519.PublicKey) (id keyID) {
	sum := sha256.Sum256(key)
	copy(id[:], sum[:])
	return id
}

// seal is what precedes the text: the key's ID and the signature, in base64 without
// padding, then a line feed.
const seal = (len(keyID{}) + ed25519.SignatureSize) * 4 / 3

var base64url = base64.RawURLEncoding.Strict()

// domain separates these signatures from all others that a key may make.
const domain = "sensorgateway fleet v1 order\n"

// Sign returns the payload of an order. It fails if the body is not JSON, or too long.
func Sign(key ed25519.PrivateKey, o Order) ([]byte, error) {
	if !json.Valid(o.Body) {
		return nil, errors.New("order: the body is not JSON")
	}
	text := wire.JSON(o)
	if seal+1+len(text) > MaxOrder {
		return nil, fmt.Errorf("order: %d bytes, of %d at most", seal+1+len(text), MaxOrder)
	}
	id := idOf(key.Public().(ed25519.PublicKey))
	signature := ed25519.Sign(key, append([]byte(domain), text...))
	b := base64url.AppendEncode(nil, append(id[:], signature...))
	return append(append(b, '\n'), text...), nil
}

// sealed is a payload in its parts; nothing of it is verified.
type sealed struct {
	key       keyID
	signature []byte
	text      []byte
}

var errOrder = errors.New("not an order of this version")

func cutSeal(payload []byte) (s sealed, err error) {
	if len(payload) > MaxOrder || len(payload) <= seal || payload[seal] != '\n' {
		return s, errOrder
	}
	b, err := base64url.DecodeString(string(payload[:seal]))
	if err != nil {
		return s, errOrder
	}
	copy(s.key[:], b)
	s.signature, s.text = b[len(s.key):], payload[seal+1:]
	return s, nil
}

// parseOrder reads the text of an order that a hub has signed. An order with a member that
// this version does not know is refused, not carried out in part.
func parseOrder(text []byte) (o Order, err error) {
	if err := strict(text, &o); err != nil {
		return Order{}, fmt.Errorf("order: %w", err)
	}
	switch {
	case o.Kind != Cmd && o.Kind != Ask && o.Kind != Watch && o.Kind != Keys:
		return Order{}, fmt.Errorf("order: kind %q", o.Kind)
	case CheckName(o.Hub) != nil:
		return Order{}, fmt.Errorf("order: hub: %w", CheckName(o.Hub))
	case !printable(o.By) || !printable(o.Client):
		return Order{}, errors.New("order: by or client is not printable")
	case len(o.Body) == 0:
		return Order{}, errors.New("order: no body")
	}
	return o, nil
}

// strict reads one JSON value without unknown members.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more follows")
	}
	return nil
}

// What a [Question] asks for.
const (
	AskHello    = "hello"    // answered with a hello as in news
	AskState    = "state"    // answered with the motors' states, an array
	AskReadings = "readings" // answered with payloads as on [Up], then [TypeReadings]
	AskMachine  = "machine"  // answered with the numbers of its machine, of [TypeMachine]
)

// Question is the body of an [Ask]. Hello and state are also asked of all.
type Question struct {
	Ask    string `json:"ask"`
	Sensor string `json:"sensor,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
	Since  uint32 `json:"since"` // numbers after this one
	Until  uint32 `json:"until"` // to this one
}

// ReadingsSent is the payload of [TypeReadings]: what was sent before it. The gateway does
// not have the rest of the span.
type ReadingsSent struct {
	Sensor   string `json:"sensor"`
	Epoch    string `json:"epoch"`
	Messages int    `json:"messages"`
	Records  int    `json:"records"`
}

// Question returns the body of an [Ask].
func (o Order) Question() (q Question, err error) {
	if err := strict(o.Body, &q); err != nil {
		return Question{}, wire.Errorf(422, "ask: %v", err)
	}
	switch q.Ask {
	case AskHello, AskState:
		return q, nil
	case AskReadings, AskMachine:
		if o.Gateway == All {
			return Question{}, wire.Errorf(403, "ask: %s is asked of one gateway", q.Ask)
		}
		if q.Ask == AskReadings && (q.Sensor == "" || q.Epoch == "" || wire.Before(q.Until, q.Since)) {
			return Question{}, wire.Errorf(422, "ask: readings need a sensor, an epoch, since, and until, which is not before since")
		}
		return q, nil
	}
	return Question{}, wire.Errorf(404, "ask: unknown question")
}

// Refusal is the error that a gateway has answered with, as opposed to an error on the way.
type Refusal struct{ Why *wire.Error }

func (r Refusal) Error() string { return r.Why.Error() }

// Unwrap returns what the gateway has answered.
func (r Refusal) Unwrap() error { return r.Why }

// ParseAnswer returns the payload of an answer that is an envelope of that type, and a
// [Refusal] if it is another one.
func ParseAnswer(answer []byte, kind string) ([]byte, error) {
	q, err := wire.ParseRequest(answer)
	if err != nil || q.Type == kind {
		return q.Payload, err
	}
	refused := wire.Error{Code: 500, Message: fmt.Sprintf("the gateway has answered %q", q.Type)}
	if q.Type == wire.TypeError && json.Unmarshal(q.Payload, &refused) != nil {
		refused.Code = 500
	}
	return nil, Refusal{&refused}
}

// View is the body of a [Watch].
type View struct {
	Hz float64 `json:"hz"` // at most so many ticks a second; 0 ends the watch of this hub
}

// MaxHz is the most that can be watched.
const MaxHz = 100

// RateOf returns how many ticks a second the fastest sensor has, at most [MaxHz].
func RateOf(sensors []wire.SensorInfo) float64 {
	rate := 1.0
	for _, s := range sensors {
		if s.IntervalMS > 0 {
			rate = max(rate, math.Ceil(1000/float64(s.IntervalMS)))
		}
	}
	return min(rate, MaxHz)
}

// View returns the body of a [Watch].
func (o Order) View() (v View, err error) {
	if err := strict(o.Body, &v); err != nil {
		return View{}, wire.Errorf(422, "watch: %v", err)
	}
	if !(v.Hz >= 0 && v.Hz <= MaxHz) {
		return View{}, wire.Errorf(422, "watch: hz must be a number from 0 to %d", MaxHz)
	}
	return v, nil
}

// StopBody returns the body of a [Cmd] that stops.
func StopBody(c wire.Command) []byte {
	payload := map[string]string{"action": c.Action}
	if c.Action == wire.Stop {
		payload["target"] = c.Target
	}
	m := wire.Envelope{Type: wire.TypeCommand, Payload: payload}
	if json.Valid([]byte(c.ID)) {
		m.ID = json.RawMessage(c.ID)
	}
	return wire.JSON(m)
}
