//go:build unix

package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/fleet"
)

// A gateway in a fleet, without certificates: it publishes its presence and its hello, carries
// out orders that a hub has signed, and stops motors that these started when the line is lost;
// it stays ready without a line. The broker publishes its will when it was killed.
func TestUplink(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	m := startMosquitto(t)
	keys := writeFile(t, "hubs.keys", fleet.KeyLine(key.Public().(ed25519.PublicKey), "hub-a"))
	config := writeFile(t, "gateway.yaml", `sensors: [{name: indoor, chip: sht3x}]
motors: [{name: fan, kind: on_off, pin: GPIO17}]
uplink:
  brokers: ["mqtt://`+m.Address+`"]
  site: lab
  name: pi-7
  hub_keys: `+keys+`
  user: gateway
  password_file: `+writeFile(t, "password", "secret\n")+"\n")
	l := m.listen("gw/v1/#")
	p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", freeAddress(t))
	page := strings.Replace(p.URL, "ws://", "http://", 1)
	get := func(path string) string {
		t.Helper()
		r, err := http.Get(strings.TrimSuffix(page, "/") + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, r.Status, err)
		}
		return string(text)
	}
	until := func(path, text string) {
		t.Helper()
		eventually(t, patience, func() (string, bool) {
			got := get(path)
			return fmt.Sprintf("%s is %s, want %s in it", path, got, text), strings.Contains(got, text)
		})
	}

	here := l.until("/pi-7/here", has("online "))
	var hello fleet.Hello
	received := time.Now()
	n, err := fleet.ParseNews([]byte(l.until("/pi-7/news", has(`{"type":"hello"`))))
	if err != nil {
		t.Fatal(err)
	}
	hello = *n.Hello
	if here != fmt.Sprintf("online %d", hello.Connection) || hello.Sensors[0].Name != "indoor" || hello.Motors[0].Target != "fan" {
		t.Errorf("%s, and hello is %+v", here, hello)
	}
	until("/readyz", `"uplink":{"connected":true,"state":"connected`)
	until("/metrics", "\ngateway_uplink_connected 1\n")

	counter := uint64(0)
	order := func(body string, change func(*fleet.Order)) {
		t.Helper()
		counter++
		o := fleet.Order{Site: "lab", Gateway: "pi-7", Kind: fleet.Cmd, Hub: "hub-a", Nonce: hello.Nonce, Counter: counter, By: "ahmet", Client: "c1", Body: json.RawMessage(body)}
		o.Until(&hello, received, time.Now(), 20*time.Second)
		if change != nil {
			change(&o)
		}
		payload, err := fleet.Sign(key, o)
		if err != nil {
			t.Fatal(err)
		}
		m.publish("gw/v1/lab/pi-7/cmd", string(payload))
	}
	start, stop := `{"type":"command","id":1,"payload":{"action":"start","target":"fan"}}`, `{"type":"command","id":2,"payload":{"action":"stop","target":"fan"}}`
	order(start, func(o *fleet.Order) { o.Nonce = "00" })
	l.until("/answer/hub-a", has(`"code":409`))
	order(start, nil)
	const at = "gw/v1/lab/pi-7/"
	l.all(at+`answer/hub-a {"type":"ack","id":1,`, at+`news {"type":"state","payload":{"target":"fan","running":true,"speed":1,"direction":"forward","reason":"command","by":"ahmet"`)
	order(stop, func(o *fleet.Order) { o.Nonce = "00" }) // it is a stop
	l.until("/answer/hub-a", has(`"warning":"it was made for another start`))
	until("/api/v1/motors", `"running":false`)

	order(start, nil)
	until("/api/v1/motors", `"running":true`)
	m.Kill()
	until("/api/v1/motors", `"running":false,"speed":0,"direction":"forward","reason":"disconnect","by":"ahmet"`)
	until("/readyz", `"uplink":{"connected":false,"state":"not connected: mqtt://`)
	m.Start()
	l = m.listen("gw/v1/#")
	n, err = fleet.ParseNews([]byte(l.until("/pi-7/news", has(`{"type":"hello"`))))
	if err != nil || n.Hello.Nonce != hello.Nonce || n.Hello.Connection == hello.Connection {
		t.Errorf("hello after the broker's end: %+v, %v", n.Hello, err)
	}
	p.Kill(t)
	l.until("/pi-7/here", has(fmt.Sprintf("offline %d", n.Hello.Connection)))
}
