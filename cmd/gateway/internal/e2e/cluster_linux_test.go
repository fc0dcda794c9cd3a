package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	cmd.WaitDelay = time.Second // the nodes have its output
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

// powerCut takes the power from all nodes, and gives it back.
func (c *cluster) powerCut() {
	c.t.Helper()
	c.disk.shutDown()
	c.script("kill")
	c.disk.restore()
	c.script("start")
}

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

func newMember(t *testing.T, h *hubProcess, name string) *member {
	t.Helper()
	m := &member{h: h, name: name, state: t.TempDir(), file: filepath.Join(t.TempDir(), "gateway.yaml")}
	h.want(name, h.enroll(m.state, name, h.code("--site", "lab"))...)
	text := "uplink: {}\nsensors:\n"
	for i, s := range fleetSensors {
		text += fmt.Sprintf("- {name: %s, chip: sht3x, bus: %d, interval: 20ms}\n", s, i+1)
	}
	if err := os.WriteFile(m.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.gatewayProcess = startGateway(t, m.h.program, "--simulate", "--config", m.file, "--listen", "127.0.0.1:0", "--state", m.state)
}

// uplink returns what a gateway says of its uplink.
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

// awaitUplink waits until a gateway says of its uplink what is right.
func (m *member) awaitUplink(t *testing.T, what string, right func(wire.Uplink) bool) {
	t.Helper()
	eventually(t, 2*patience, func() (string, bool) {
		u := m.uplink(t)
		return fmt.Sprintf("%s %s: %+v", m.name, what, u), right(u)
	})
}

// TestCluster holds that nothing is lost between gateways and a hub: nodes of the brokers'
// cluster are killed, then lose power all at once, a gateway is killed, and the hub is
// away; in the end the hub's log has each record of the gateways', once.
func TestCluster(t *testing.T) {
	if os.Getenv("GATEWAY_TEST_CLUSTER") == "" {
		t.Skip("a cluster of RabbitMQ takes minutes; to run it: GATEWAY_TEST_CLUSTER=1 go test -run '^TestCluster$' ./cmd/gateway/internal/e2e")
	}
	h := startHub(t, "--broker", "mqtts://localhost:18881", "--broker", "mqtts://localhost:18882", "--broker", "mqtts://localhost:18883", "--site", "lab")
	c := startCluster(t, h)
	members := []*member{newMember(t, h, "pi-1"), newMember(t, h, "pi-2"), newMember(t, h, "pi-3")}
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
		for _, m := range members { // by another node
			m.awaitUplink(t, "is not connected while a node is down", func(u wire.Uplink) bool { return u.Connected })
		}
		c.script("node", node)
	}
	members[0].Kill(t)
	members[0].start(t)
	h.Kill(t)
	c.powerCut()
	h.start()
	for _, m := range members {
		m.awaitUplink(t, "is not connected after the power cut", func(u wire.Uplink) bool { return u.Connected })
	}

	// What was not complete goes up when a gateway starts again.
	want := map[string][]wire.Record{}
	for _, m := range members {
		if err := m.Stop(t); err != nil {
			t.Fatal(err)
		}
		for _, sensor := range fleetSensors {
			if want[m.name+"/"+sensor] = recordsIn(t, filepath.Join(m.state, "log"), sensor); len(want[m.name+"/"+sensor]) < 500 {
				t.Fatalf("%s has %d records of %s", m.name, len(want[m.name+"/"+sensor]), sensor)
			}
		}
		m.start(t)
	}
	lacking, pace := "", time.NewTicker(5*time.Second) // for the hub to take what is under way
	defer pace.Stop()
	for late := time.Now().Add(3 * patience); time.Now().Before(late); {
		<-pace.C
		if err := h.Stop(t); err != nil {
			t.Fatal(err)
		}
		if lacking = h.lacks(members, want); lacking == "" {
			break
		}
		h.start()
	}
	if lacking != "" {
		t.Error(lacking)
	}

	// Whoever is revoked is cut off.
	h.want("revoked", "hub", "revoke", "pi-3", "--state", h.state)
	c.script("ctl", "delete_user", "pi-3")
	members[2].awaitUplink(t, "is still connected", func(u wire.Uplink) bool { return !u.Connected })
}

// lacks returns what of the gateways' records a hub that has ended does not have, once
// and as they are; "" if that is nothing.
func (h *hubProcess) lacks(members []*member, want map[string][]wire.Record) string {
	for _, m := range members {
		for _, sensor := range fleetSensors {
			all := want[m.name+"/"+sensor]
			got := h.stored(m.name, sensor)
			if len(got) < len(all) || !slices.Equal(got[:len(all)], all) {
				n := 0
				for n < min(len(got), len(all)) && got[n] == all[n] {
					n++
				}
				return fmt.Sprintf("of %s of %s the hub has %d records, the gateway had %d; they are the same up to the %dth", sensor, m.name, len(got), len(all), n)
			}
		}
	}
	return ""
}
