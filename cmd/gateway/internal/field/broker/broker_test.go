package broker

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/gateway/uplink"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // unless -parallel says so: most of their time these tests wait
	m.Run()
}

var pi = fleet.Gateway{Site: "lab", Name: "pi-7"}

// policy is how a broker differs from one that lets everybody do everything.
type policy struct {
	mochi.HookBase
	server  *mochi.Server
	refused func(client string) bool
	writes  func(topic string) bool
	reads   func(filter string) bool
	answer  func(topic string) byte // of a PUBACK, 0 is the broker's own
	cuts    bool                    // the connection ends with what one may not publish

	mu      sync.Mutex
	clients []string // their IDs
}

func (*policy) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnPublish
}

func (p *policy) OnConnectAuthenticate(c *mochi.Client, _ packets.Packet) bool {
	p.mu.Lock()
	p.clients = append(p.clients, c.ID)
	p.mu.Unlock()
	return p.refused == nil || !p.refused(c.ID)
}

func (p *policy) OnACLCheck(c *mochi.Client, topic string, write bool) bool {
	if !write {
		return p.reads == nil || p.reads(topic)
	}
	ok := p.writes == nil || p.writes(topic)
	if !ok && p.cuts {
		_ = p.server.DisconnectClient(c, packets.ErrNotAuthorized)
	}
	return ok
}

func (p *policy) OnPublish(_ *mochi.Client, m packets.Packet) (packets.Packet, error) {
	if p.answer != nil {
		if code := p.answer(m.TopicName); code != 0 {
			return m, packets.Code{Code: code}
		}
	}
	return m, nil
}

// start starts a broker with a policy, with TLS if there is a certificate.
func (p *policy) start(t *testing.T, certificate *tls.Certificate) *url.URL {
	t.Helper()
	o, scheme := mqtttest.Options{Hooks: []mochi.Hook{p}}, "mqtt"
	if certificate != nil {
		o.TLS, scheme = &tls.Config{Certificates: []tls.Certificate{*certificate}}, "mqtts"
	}
	b := mqtttest.Start(t, o)
	p.server = b.Server
	_, port, _ := net.SplitHostPort(b.Address)
	return &url.URL{Scheme: scheme, Host: "localhost:" + port}
}

func check(t *testing.T, id uplink.Identity, change func(*Options)) (r doctor.Report) {
	t.Helper()
	id.Gateway = pi
	id.Keys = func() []ed25519.PublicKey { return make([]ed25519.PublicKey, 1) }
	o := Options{Identity: func() (*uplink.Identity, error) { return &id, nil }, Now: time.Now(), Synced: true}
	if change != nil {
		change(&o)
	}
	Check(t.Context(), &r, o)
	return r
}

// want expects that exactly these checks did not pass: "NAME VERDICT" → a part of the
// evidence and the fix.
func want(t *testing.T, r doctor.Report, others map[string]string) {
	t.Helper()
	for _, c := range r {
		key := c.Name + " " + string(c.Verdict)
		text, expected := others[key]
		delete(others, key)
		switch {
		case c.Verdict == doctor.Pass && !expected:
		case !expected, !strings.Contains(c.Evidence+"; fix: "+c.Fix, text):
			t.Errorf("%+v, want %q", c, text)
		case c.Verdict == doctor.Fail && c.Fix == "":
			t.Errorf("%+v has no fix", c)
		}
	}
	for key := range others {
		t.Errorf("%s is missing in %+v", key, r)
	}
}

func ownWrites(topic string) bool {
	at, err := fleet.ParseTopic(topic)
	return err == nil && at.Gateway == pi && at.Kind != fleet.Cmd && at.Kind != fleet.Ask && at.Kind != fleet.Watch
}

func ownOrders(filter string) bool {
	at, err := fleet.ParseTopic(filter)
	return err == nil && (at.Gateway == pi || at.Name == fleet.All) && (at.Kind == fleet.Cmd || at.Kind == fleet.Ask || at.Kind == fleet.Watch)
}

// For each thing that can be wrong with a broker, the report says what it is and what to
// do. This broker confirms messages to which nobody subscribes.
func TestBrokers(t *testing.T) {
	good := func() *policy { return &policy{writes: ownWrites, reads: ownOrders} }
	for name, tt := range map[string]struct {
		change func(*policy)
		want   map[string]string
	}{
		"good":    {func(*policy) {}, map[string]string{}},
		"cuts":    {func(p *policy) { p.cuts = true }, map[string]string{}},
		"open":    {func(p *policy) { p.writes, p.reads = nil, nil }, map[string]string{"others FAIL": "gw/v1/lab/x", "secrecy WARN": "its own news"}},
		"refuses": {func(p *policy) { p.refused = func(string) bool { return true } }, map[string]string{"connect FAIL": "gateway hub list --rabbitmq"}},
		"full":    {func(p *policy) { p.answer = full }, map[string]string{"hub WARN": "0x97"}},
		"mute": {func(p *policy) {
			p.writes = func(topic string) bool { return ownWrites(topic) && !strings.HasSuffix(topic, "/up") }
		}, map[string]string{"publish FAIL": "gw/v1/lab/pi-7/up (0x87, not authorized)"}},
		"deaf": {func(p *policy) {
			p.reads = func(f string) bool { return ownOrders(f) && !strings.HasSuffix(f, "/cmd") }
		}, map[string]string{"orders FAIL": "gw/v1/lab/pi-7/cmd (0x87, not authorized)"}},
		"gossip":   {func(p *policy) { p.reads = func(string) bool { return true } }, map[string]string{"secrecy WARN": "its own news"}},
		"retained": {func(*policy) {}, map[string]string{"retained WARN": "gw/v1/lab/pi-7/cmd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := good()
			tt.change(p)
			broker := p.start(t, nil)
			if name == "retained" {
				if err := p.server.Publish(pi.Topic(fleet.Cmd), []byte("an order of last year"), true, 1); err != nil {
					t.Fatal(err)
				}
			}
			others := map[string]string{"confirms FAIL": "answers 0x10 when nobody subscribes"}
			for k, v := range tt.want {
				others[k] = v
			}
			if p.refused != nil {
				delete(others, "confirms FAIL")
			}
			want(t, check(t, uplink.Identity{Brokers: []*url.URL{broker}}, nil), others)
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, id := range p.clients {
				if !strings.HasPrefix(id, "pi-7.doctor-") {
					t.Errorf("a client ID is %q: the gateway's connection would end", id)
				}
			}
		})
	}
}

// Mosquitto says when nobody subscribes; without a list of rights it lets everybody do
// everything.
func TestMosquitto(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "allow_anonymous true", "message_size_limit 65000", "max_inflight_messages 3")
	want(t, check(t, uplink.Identity{Brokers: []*url.URL{{Scheme: "mqtt", Host: m.Address}}}, nil), map[string]string{
		"confirms PASS": "it says when nobody subscribes; ", "hub WARN": "gateway hub --site lab",
		"others FAIL": "gw/v1/lab/x", "secrecy WARN": "its own news", "limits WARN": "max_inflight_messages",
	})
}

func full(topic string) byte {
	if strings.HasSuffix(topic, "/up") {
		return 0x97
	}
	return 0
}

// Each certificate is checked: the broker's, and the gateway's own, by the clock of TLS.
func TestCertificates(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	authority, err := enroll.InitAuthority(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := enroll.InitAuthority(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	pair := func(a *enroll.Authority, name string, host string, at time.Time) *tls.Certificate {
		t.Helper()
		p, err := a.Server(name, []string{host}, at)
		if err != nil {
			t.Fatal(err)
		}
		if p.Leaf, err = x509.ParseCertificate(p.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		return p
	}
	life := pair(authority, "pi-7", "x", now).Leaf.NotAfter.Sub(now)
	for name, tt := range map[string]struct {
		broker, own *tls.Certificate
		clock       time.Time
		want        map[string]string
	}{
		"good":             {pair(authority, "b", "localhost", now), pair(authority, "pi-7", "x", now), now, map[string]string{}},
		"another's":        {pair(stranger, "b", "localhost", now), pair(authority, "pi-7", "x", now), now, map[string]string{"tls FAIL": "gateway hub ca broker"}},
		"another host":     {pair(authority, "b", "elsewhere", now), pair(authority, "pi-7", "x", now), now, map[string]string{"tls FAIL": "for elsewhere"}},
		"expired":          {pair(authority, "b", "localhost", now.Add(-life-time.Hour)), pair(authority, "pi-7", "x", now), now, map[string]string{"tls FAIL": "renew the broker's certificate"}},
		"near its end":     {pair(authority, "b", "localhost", now.Add(5*24*time.Hour-life)), pair(authority, "pi-7", "x", now), now, map[string]string{"tls WARN": "near its end"}},
		"own near its end": {pair(authority, "b", "localhost", now), pair(authority, "pi-7", "x", now.Add(5*24*time.Hour-life)), now, map[string]string{"certificate WARN": "see why it was not renewed"}},
		"own has expired":  {pair(authority, "b", "localhost", now), pair(authority, "pi-7", "x", now.Add(-time.Hour-life)), now, map[string]string{"certificate FAIL": "it has expired"}},
		"another's name":   {pair(authority, "b", "localhost", now), pair(authority, "pi-8", "x", now), now, map[string]string{"certificate WARN": "uplink.name"}},
		"1970":             {pair(authority, "b", "localhost", now), pair(authority, "pi-7", "x", now), time.Unix(0, 0), map[string]string{"clock WARN": "1970-01-01T00:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &policy{writes: ownWrites, reads: ownOrders}
			broker := p.start(t, tt.broker)
			others := map[string]string{"confirms FAIL": "0x00"}
			for k, v := range tt.want {
				others[k] = v
			}
			if _, refused := others["tls FAIL"]; refused {
				delete(others, "confirms FAIL")
			}
			id := uplink.Identity{Brokers: []*url.URL{broker}, TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*tt.own}, Time: func() time.Time { return now }}}
			want(t, check(t, id, func(o *Options) { o.Now = tt.clock }), others)
		})
	}
}

// A broker that is not there is said to be missing, by name and by port.
func TestMissing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	missing := &url.URL{Scheme: "mqtt", Host: l.Addr().String()}
	nowhere := &url.URL{Scheme: "mqtts", Host: "no-such-name.invalid"}
	want(t, check(t, uplink.Identity{Brokers: []*url.URL{nowhere, missing}}, nil), map[string]string{
		"name FAIL": "no-such-name.invalid", "port FAIL": "start the broker there",
	})
}
