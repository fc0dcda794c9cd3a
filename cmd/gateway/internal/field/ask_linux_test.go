package field

import (
	"context"
	"strings"
	"testing"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/machine"
)

// A gateway that listens on an address which the machine does not have yet cannot be asked,
// and has its buses all the same.
func TestGatewayAheadOfTheNetwork(t *testing.T) {
	sockets, err := machine.ListenAhead("203.0.113.7:0", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets[0].Close()
	freezer := onChannel("freezer", 0)
	cfg := &config.Config{Listen: sockets[0].Addr().String(), Sensors: []config.Sensor{freezer}}
	unreachable, cancel := context.WithCancel(t.Context())
	cancel() // so that no packet leaves this machine
	g := findGateway(unreachable, cfg, nil)
	if g == nil {
		t.Fatal("it is not found")
	}
	name, asked := g.reads(freezer)
	r := g.newest(unreachable, name)
	if !asked || !strings.Contains(r.Error, "which is no address of this machine now") || r.Fix != "see the addresses with: ip addr; or "+stopIt {
		t.Errorf("%v, %s; %s", asked, r.Error, r.Fix)
	}
	if why, _ := g.reserves(config.Sensor{Bus: "251"}); !strings.Contains(why, "which is no address of this machine now, so it is not known what it reads") {
		t.Errorf("bus 251 is free: %s", why)
	}
	if err := sockets[0].Close(); err != nil {
		t.Fatal(err)
	}
	if g := findGateway(unreachable, cfg, nil); g != nil {
		t.Errorf("nobody listens there: %+v", g)
	}
}
