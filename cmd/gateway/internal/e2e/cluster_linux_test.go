package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sensorgateway/wire"
)

// cluster is three nodes of RabbitMQ on a disk of their own.
type cluster struct {
	t    *testing.T
	disk *fileSystem
	dir  string
}

// script runs scripts/cluster.
func (c *cluster) script(action string, args ...string) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join("..", "..", "..", "..", "scripts", "cluster"), append([]string{action, c.dir}, args...)...)
	cmd.WaitDelay = time.Second // the nodes keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		c.t.Fatalf("scripts/cluster %s %q: %v: %s", action, args, err, out)
	}
}

// startCluster starts the brokers of a hub.
func startCluster(t *testing.T, h *hubProcess) *cluster {
	t.Helper()
	c := &cluster{t: t, disk: newFileSystemOf(t, 4<<30, "ext4", "mkfs.ext4", "-q")}
	c.dir = c.disk.dir
	if err := os.Chmod(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"hub", "etc"} {
		if err := os.Mkdir(filepath.Join(c.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.dir, "hub", "ca.crt"), []byte(mustRead(t, filepath.Join(h.state, "ca.crt"))), 0o644); err != nil {
		t.Fatal(err)
	}
	h.want("broker.crt", "hub", "ca", "broker", "--host", "localhost", "--out", filepath.Join(c.dir, "etc"), "--state", h.state)
	t.Cleanup(func() { c.script("kill") })
	c.script("start")
	return c
}

// letIn makes users of all members.
func (c *cluster) letIn(h *hubProcess) {
	c.t.Helper()
	users := filepath.Join(c.t.TempDir(), "users.json")
	if err := os.WriteFile(users, []byte(h.want("users", "hub", "list", "--rabbitmq", "--state", h.state)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.script("users", users)
}

// powerCut cuts the power of all nodes, and starts them again.
func (c *cluster) powerCut() {
	c.t.Helper()
	c.disk.shutDown()
	c.script("kill")
	c.disk.restore()
	c.script("start")
}

// bound limits what the brokers keep for a hub, as definitions.json does.
func (c *cluster) bound(bytes int64) {
	c.t.Helper()
	c.script("ctl", "--quiet", "set_policy", "--apply-to", "queues", "--priority", "1", "fleet", "^mqtt-subscription-.*qos1$",
		fmt.Sprintf(`{"max-length-bytes":%d,"overflow":"reject-publish"}`, bytes))
}

// revokedWithin is how long the brokers may take to end the connection of a user who was
// deleted. On a machine that is so busy that to delete it takes longer, it may take as long.
const revokedWithin = 2 * time.Second

// fleetSensors are those of a gateway of the fleet, quick ones, so that blocks are full soon.
var fleetSensors = []string{"one", "two", "three", "four"}

// member is a gateway of the fleet.
type member struct {
	*gatewayProcess
	h     *hubProcess
	name  string
	state string
	file  string
}

// newMember enrolls one, whose state directory may have a log already.
func newMember(t *testing.T, h *hubProcess, name, state, config string) *member {
	t.Helper()
	h.want(name, h.enroll(state, name, h.code("--site", "lab"))...)
	return &member{h: h, name: name, state: state, file: writeFile(t, "gateway.yaml", config)}
}

// newQuickMember has the sensors of the fleet.
func newQuickMember(t *testing.T, h *hubProcess, name string) *member {
	t.Helper()
	text := "uplink: {}\nsensors:\n"
	for i, s := range fleetSensors {
		text += fmt.Sprintf("- {name: %s, chip: sht3x, bus: %d, interval: 20ms}\n", s, i+1)
	}
	return newMember(t, h, name, t.TempDir(), text)
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.gatewayProcess = startGateway(t, m.h.program, "--simulate", "--config", m.file, "--listen", "127.0.0.1:0", "--state", m.state)
}

// uplink returns a gateway's report of its uplink.
func (m *member) uplink(t *testing.T) (u wire.Uplink) {
	t.Helper()
	response, err := http.Get("http" + strings.TrimPrefix(m.URL, "ws") + "readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var ready struct {
		Uplink *wire.Uplink `json:"uplink"`
	}
	if err := json.NewDecoder(response.Body).Decode(&ready); err != nil || ready.Uplink == nil {
		t.Fatalf("/readyz says nothing of the uplink: %v", err)
	}
	return *ready.Uplink
}

// awaitUplink waits until a gateway's report of its uplink is right.
func (m *member) awaitUplink(t *testing.T, what string, right func(wire.Uplink) bool) {
	t.Helper()
	eventually(t, 2*patience, func() (string, bool) {
		u := m.uplink(t)
		return fmt.Sprintf("%s %s: %+v", m.name, what, u), right(u)
	})
}

// awaitOne waits until the report of one of the gateways is right: others may pause for a
// minute before they try a broker again.
func awaitOne(t *testing.T, members []*member, what string, right func(wire.Uplink) bool) {
	t.Helper()
	eventually(t, 3*patience, func() (string, bool) {
		all := ""
		for _, m := range members {
			u := m.uplink(t)
			if right(u) {
				return "", true
			}
			all += fmt.Sprintf("; %s: %+v", m.name, u)
		}
		return "none " + what + all, false
	})
}

// TestCluster: nothing is lost between gateways and a hub. Nodes of the brokers' cluster are
// killed, then all lose power at once; a gateway is killed; and the hub is away until the
// brokers have no room. In the end the hub's log has each record of the gateways once, also
// those of a gateway that had an hour to send over a slow line. A revoked gateway is cut off.
func TestCluster(t *testing.T) {
	if os.Getenv("GATEWAY_TEST_CLUSTER") == "" {
		t.Skip("a cluster of RabbitMQ takes minutes; to run it: GATEWAY_TEST_CLUSTER=1 go test -run '^TestCluster$' ./cmd/gateway/internal/e2e")
	}
	h := startHub(t, "--broker", "mqtts://localhost:18881", "--broker", "mqtts://localhost:18882", "--broker", "mqtts://localhost:18883", "--site", "lab")
	c := startCluster(t, h)
	members := []*member{newQuickMember(t, h, "pi-1"), newQuickMember(t, h, "pi-2"), newQuickMember(t, h, "pi-3")}
	slow := newSlowMember(t, h, "pi-4", &url.URL{Scheme: "mqtts", Host: "localhost:18881"})
	c.letIn(h)
	h.await(t, "connected to the broker")
	for _, m := range members {
		m.start(t)
	}
	for _, m := range members {
		m.awaitUplink(t, "is not connected", func(u wire.Uplink) bool { return u.Connected })
	}

	for i := range 6 {
		node := fmt.Sprint(i%3 + 1)
		c.script("kill", node)
		awaitOne(t, members, "is connected while a node is down", func(u wire.Uplink) bool { return u.Connected })
		c.script("node", node)
	}
	members[0].Kill(t)
	members[0].start(t)
	h.Kill(t)
	c.powerCut()
	c.bound(8 << 10) // a hub that is away fills no disk
	awaitOne(t, members, "is told that there is no room", func(u wire.Uplink) bool { return strings.Contains(u.State, "no room") })
	c.bound(4 << 30)
	h.start()

	// Incomplete blocks are sent when a gateway starts again.
	want := map[string][]wire.Record{}
	for _, m := range members {
		if err := m.Stop(t); err != nil {
			t.Fatal(err)
		}
		for _, sensor := range fleetSensors {
			records := recordsIn(t, filepath.Join(m.state, "log"), sensor)
			if want[m.name+"/"+sensor] = records; len(records) < 500 {
				t.Fatalf("%s has %d records of %s", m.name, len(records), sensor)
			}
		}
		m.start(t)
	}
	token := h.want("gwt_", "token", "add", "root", "--role", "admin", "--state", h.state)
	for _, m := range members {
		for _, sensor := range fleetSensors {
			h.awaitAll(t, token, m.name, sensor, want[m.name+"/"+sensor])
		}
	}
	slow.drain(t, token)
	maps.Copy(want, slow.past)
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	h.compare(want)
	h.start()
	h.await(t, "connected to the broker")
	c.revoke(h, members[2])
}

// revoke revokes a connected gateway: the brokers end its connection and refuse it from then
// on, and the hub stores nothing that it measures later.
func (c *cluster) revoke(h *hubProcess, m *member) {
	t := c.t
	t.Helper()
	h.want("revoked", "hub", "revoke", m.name, "--state", h.state)
	told := time.Now()
	c.script("ctl", "delete_user", m.name)
	begin := time.Now()
	m.awaitUplink(t, "is still connected", func(u wire.Uplink) bool { return !u.Connected })
	cut := time.Now()
	t.Logf("the connection of a gateway that was revoked ended within %v of the command, which took %v", cut.Sub(begin), begin.Sub(told))
	if most := max(revokedWithin, begin.Sub(told)); cut.Sub(begin) > most {
		t.Errorf("that is more than %v", most)
	}
	// When it is started again it has incomplete blocks to send at once.
	if err := m.Stop(t); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	m.awaitUplink(t, "is not refused", func(u wire.Uplink) bool {
		return !u.Connected && strings.Contains(u.State, "the broker refused the connection") && u.Unsent > 0
	})
	if err := h.Stop(t); err != nil {
		t.Fatal(err)
	}
	for _, sensor := range fleetSensors {
		all := h.stored(m.name, sensor)
		if len(all) == 0 {
			t.Fatalf("nothing of %s of %s is stored", sensor, m.name)
		}
		if last := all[len(all)-1].UnixMilli; last > cut.UnixMilli() {
			t.Errorf("%s of %s is stored until %v after it was cut off", sensor, m.name, time.UnixMilli(last).Sub(cut))
		}
	}
}

// awaitAll waits until a hub has as many records of a sensor as its gateway had up to a
// time, and shows a reading that is no older than that.
func (h *hubProcess) awaitAll(t *testing.T, token, gateway, sensor string, records []wire.Record) {
	t.Helper()
	last := records[len(records)-1].UnixMilli
	moving(t, 2*patience, func() (string, bool) {
		var shown struct {
			Payload struct {
				TS float64 `json:"ts"` // s
			}
		}
		n, body := h.count(token, gateway, sensor, records)
		_, newest := h.get("/gateways/"+gateway+"/sensors/"+sensor, token)
		_ = json.Unmarshal([]byte(newest), &shown)
		answer := fmt.Sprintf("of %s of %s the hub has %d of %d records, the last of %d, and shows %s: %.200s", sensor, gateway, n, len(records), last, newest, body)
		return answer, n >= len(records) && shown.Payload.TS*1000 > float64(last)-1
	})
}

// count returns how many records a hub has in the span of time of the given ones, and its answer.
func (h *hubProcess) count(token, gateway, sensor string, records []wire.Record) (n int, body string) {
	h.t.Helper()
	const hour = 3_600_000 // ms
	var stored struct{ Buckets []struct{ Count, Failed int } }
	_, body = h.get(fmt.Sprintf("/gateways/%s/api/v1/readings?sensor=%s&from=%d&to=%d&step=%d",
		gateway, sensor, records[0].UnixMilli, records[len(records)-1].UnixMilli+1, hour), token)
	_ = json.Unmarshal([]byte(body), &stored) // a refusal has no buckets
	for _, b := range stored.Buckets {
		n += b.Count + b.Failed
	}
	return n, body
}

// compare wants the records of GATEWAY/SENSOR, each as it is and once, in the log of a hub
// that has ended; there may be later ones.
func (h *hubProcess) compare(want map[string][]wire.Record) {
	h.t.Helper()
	for of, all := range want {
		gateway, sensor, _ := strings.Cut(of, "/")
		got, n := h.stored(gateway, sensor), 0
		for n < min(len(got), len(all)) && bytes.Equal(got[n].Append(nil), all[n].Append(nil)) { // also what is no number
			n++
		}
		if n < len(all) {
			h.t.Errorf("of %s the hub has %d records, the gateway had %d; they are the same up to the %dth", of, len(got), len(all), n)
		}
	}
}
