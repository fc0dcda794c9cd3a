//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history"
	"sensorgateway/gateway/history/codec"
	"sensorgateway/gateway/mqtt/mqtttest"
	"sensorgateway/wire"
)

// fleetDevice publishes what a gateway of the fleet does.
type fleetDevice struct {
	t       *testing.T
	client  *paho.Client
	at      fleet.Gateway
	records []wire.Record
}

func newFleetDevice(t *testing.T, m *mosquitto, at fleet.Gateway, n int) *fleetDevice {
	t.Helper()
	conn, err := net.Dial("tcp", m.Address)
	if err != nil {
		t.Fatal(err)
	}
	d := &fleetDevice{t: t, at: at, client: paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)})}
	if _, err := d.client.Connect(context.Background(), &paho.Connect{ClientID: at.Name, CleanStart: true, KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.client.Disconnect(&paho.Disconnect{}) })
	random, now := rand.New(rand.NewPCG(1, 2)), time.Now().UnixMilli()
	for i := range n {
		d.records = append(d.records, wire.Record{
			Reading: wire.Reading{UnixMilli: now + int64(i)*100, Values: [2]float32{20 + random.Float32(), 50 + random.Float32()}}, Seq: uint32(i + 1),
		})
	}
	return d
}

// send publishes a range of records, cut into blocks of a size, and checks that the broker
// has a subscriber for them.
func (d *fleetDevice) send(from, to, size int) {
	d.t.Helper()
	var packer codec.Packer
	for ; from < to; from += size {
		part := d.records[from:min(from+size, to)]
		var sum codec.Summary
		for _, r := range part {
			sum.Add(r)
		}
		payload := fleet.AppendUpHeader(nil, []fleet.Values{{Sensor: wire.SensorInfo{Values: wire.Quantities()[:2]}}})
		payload = packer.AppendBlock(payload, codec.Origin{Sensor: "indoor", Epoch: "e", Boot: "b"}, part[0].Seq-1, sum, part)
		d.publish(d.at.Topic(fleet.Up), payload)
	}
}

func (d *fleetDevice) publish(topic string, payload []byte) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ack, err := d.client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: payload})
	if err != nil || ack.ReasonCode != 0 {
		d.t.Fatalf("%s: %v, %+v", topic, err, ack)
	}
}

// stored returns the records of a gateway in the log of a hub that has ended.
func (h *hubProcess) stored(gateway, sensor string) (all []wire.Record) {
	h.t.Helper()
	return recordsIn(h.t, filepath.Join(h.state, "gateways", gateway, "log"), sensor)
}

// recordsIn returns the records in a log to which nobody writes; none if it does not exist.
func recordsIn(t testing.TB, dir, sensor string) (all []wire.Record) {
	t.Helper()
	r, err := history.OpenReader(dir, func(d history.Damage) { t.Errorf("%+v", d) })
	if err != nil {
		return nil // nothing has come yet
	}
	for next := r.Between(sensor, 0, 1<<60); ; {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range batch {
			x.Flags &^= wire.Historical
			all = append(all, x)
		}
	}
}

// TestHubStores: a hub's log has what a gateway has sent, record for record and each once,
// although the gateway repeats records in other blocks, the hub is killed and away for a
// while, and others send what they may not. After a gateway is revoked, the hub stores
// nothing more of it.
func TestHubStores(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "allow_anonymous true")
	h := startHub(t, "--broker", "mqtt://"+m.Address, "--site", "lab")
	h.await(t, "connected to the broker")
	h.want("pi-1", h.enroll(t.TempDir(), "pi-1", h.code("--site", "lab"))...)
	h.want("pi-3", h.enroll(t.TempDir(), "pi-3", h.code("--site", "roof"))...)

	d := newFleetDevice(t, m, fleet.Gateway{Site: "lab", Name: "pi-1"}, 6600)
	stranger := newFleetDevice(t, m, fleet.Gateway{Site: "lab", Name: "pi-9"}, 100)
	elsewhere := newFleetDevice(t, m, fleet.Gateway{Site: "lab", Name: "pi-3"}, 100)
	stranger.send(0, 100, 100)
	elsewhere.send(0, 100, 100)
	d.publish(d.at.Topic(fleet.Up), []byte("nonsense"))
	for _, why := range []string{"no such gateway", "of the site roof", "not a payload of blocks"} {
		h.await(t, why)
	}
	d.send(0, 2000, 600)
	h.Kill(t)
	d.send(1500, 4000, 450) // the broker keeps it for the hub
	h.start()
	d.send(3900, 6000, 600)
	want := d.records[:6000]
	var got []wire.Record
	for late := time.Now().Add(patience); len(got) < len(want) && time.Now().Before(late); {
		if err := h.Stop(t); err != nil {
			t.Fatal(err)
		}
		if got = h.stored("pi-1", "indoor"); len(got) < len(want) { // more was under way
			h.start()
			h.await(t, "connected to the broker")
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hub has %d records, and they are not the %d of the gateway", len(got), len(want))
	}

	// A running hub learns within a second that a gateway is revoked, and stores nothing of it
	// from then on, although the broker still passes its messages on.
	h.start()
	h.await(t, "connected to the broker")
	h.want("revoked", "hub", "revoke", "pi-1", "--state", h.state)
	eventually(t, patience, func() (string, bool) {
		d.send(6000, 6010, 10) // these may be stored
		return h.Output(), strings.Contains(h.Output(), "the gateway was revoked on")
	})
	d.send(6010, 6600, 100)
	token := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	h.awaitAnswer("/api/v1/gateways", token, `"name":"pi-1","presence":{"state":"revoked",`)
	for _, path := range []string{"/gateways/pi-1/healthz", "/gateways/pi-1/api/v1/motors"} {
		if _, said := h.get(path, token); !strings.Contains(said, "pi-1 was revoked on") {
			t.Errorf("%s answers %s", path, said)
		}
	}
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	if got = h.stored("pi-1", "indoor"); len(got) > 6010 || !reflect.DeepEqual(got, d.records[:len(got)]) {
		t.Errorf("after it was revoked, the hub has %d records of a gateway, and had %d", len(got), len(want))
	}
	for _, gateway := range []string{"pi-3", "pi-9"} {
		if n := len(h.stored(gateway, "indoor")); n > 0 {
			t.Errorf("%d records of %s are stored", n, gateway)
		}
	}
	h.want("indoor", "export", "--state", filepath.Join(h.state, "gateways", "pi-1"))
}

// TestMosquittoOfAFleet holds that configs/mosquitto.conf lets gateways and hubs in by
// their certificates, each with its own rights, and nobody who was revoked.
func TestMosquittoOfAFleet(t *testing.T) {
	t.Parallel()
	port := freeAddress(t)[len("127.0.0.1:"):]
	h := startHub(t, "--broker", "mqtts://localhost:"+port, "--site", "lab")
	dir := t.TempDir()
	h.want("broker.crt", "hub", "ca", "broker", "--host", "localhost", "--out", dir, "--state", h.state)
	install := func() {
		t.Helper()
		for _, name := range []string{"ca.crt", "ca.crl"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(mustRead(t, filepath.Join(h.state, name))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		configured := strings.NewReplacer("/etc/mosquitto/", dir+"/", "/var/lib/mosquitto/", dir+"/", "listener 8883", "user root\nlistener "+port+" 127.0.0.1")
		for _, name := range []string{"mosquitto.conf", "mosquitto.acl"} {
			text := configured.Replace(mustRead(t, filepath.Join("..", "..", "..", "..", "configs", name)))
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	install()
	m := mqtttest.NewMosquitto(t, "127.0.0.1:"+port, filepath.Join(dir, "mosquitto.conf"))
	m.Start()
	h.await(t, "connected to the broker")

	device := t.TempDir()
	h.want("pi-1", h.enroll(device, "pi-1", h.code("--site", "lab"))...)
	connect := func() (*paho.Client, error) {
		pair, err := tls.LoadX509KeyPair(filepath.Join(device, "fleet.crt"), filepath.Join(device, "fleet.key"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(mustRead(t, filepath.Join(device, "fleet-ca.crt"))))
		conn, err := tls.Dial("tcp", m.Address, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "localhost"})
		if err != nil {
			return nil, err
		}
		client := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(conn)})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err = client.Connect(ctx, &paho.Connect{ClientID: "pi-1", CleanStart: true, KeepAlive: 60})
		return client, err
	}
	for topic, reason := range map[string]byte{
		"gw/v1/lab/pi-1/up": 0, "gw/v1/lab/pi-2/up": 0x87, "gw/v1/lab/pi-1/cmd": 0x87, "gw/v1/lab/hub.hub-a/up": 0x87, "anything": 0x87,
	} {
		client, err := connect()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		ack, err := client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("nonsense")})
		if ack == nil || ack.ReasonCode != reason {
			t.Errorf("%s: %+v, %v; want 0x%02x", topic, ack, err, reason)
		}
		_ = client.Disconnect(&paho.Disconnect{})
		cancel()
	}
	h.await(t, "not a payload of blocks") // of its own topic
	doctor := func(state string, flags ...string) (string, error) {
		t.Helper()
		config := writeFile(t, "gateway.yaml", "sensors: [{name: indoor, chip: sht3x}]\nlisten: "+freeAddress(t)+"\nuplink: {}\n"+state)
		out, err := exec.Command(h.program, append([]string{"doctor", "--uplink", "--json", "--config", config}, flags...)...).Output()
		return string(out), err
	}
	out, err := doctor("", "--state", device)
	if err != nil || !strings.Contains(out, `"ok":true`) || strings.Count(out, `"WARN"`) != strings.Count(out, `"check":"clock","verdict":"WARN"`) {
		t.Errorf("doctor of a gateway whose hub is there: %v\n%s", err, out)
	}

	h.want("revoked", "hub", "revoke", "pi-1", "--state", h.state)
	m.Kill()
	install()
	m.Start()
	if _, err := connect(); err == nil {
		t.Error("a gateway that was revoked is let in")
	}
	if out, err := doctor("state: " + device + "\n"); err == nil || !strings.Contains(out, `"check":"connect","verdict":"FAIL"`) || !strings.Contains(out, "the gateway was revoked: enroll it again") {
		t.Errorf("doctor of a gateway that was revoked: %v\n%s", err, out)
	}
}

// TestHubIsReady: the hub reports to systemd that it is ready, which completes an update, once
// devices can enroll.
func TestHubIsReady(t *testing.T) {
	t.Parallel()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 1<<10)
	want := func(state string) {
		t.Helper()
		if n, err := socket.Read(message); err != nil || !strings.Contains(string(message[:n]), state) {
			t.Errorf("%q, %v; want %s", message[:n], err, state)
		}
	}
	h := startHub(t)
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	p := launchGateway(t, "env", "NOTIFY_SOCKET="+socket.LocalAddr().String(), h.program, "hub", "--state", h.state, "--name", "hub-a", "--listen", "127.0.0.1:0")
	want("READY=1")
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	want("STOPPING=1")
}
