//go:build !nohub

package hub

import (
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// TestBrokerAddress holds that a broker that no gateway could reach is refused at the start.
func TestBrokerAddress(t *testing.T) {
	for broker, wrong := range map[string]string{
		"mqtts://broker.example": "", "mqtt://[::1]:1883": "", "mqtts://broker.example/": "", "MQTTS://broker.example": "",
		"mqtts://:8883": "not the address", "mqtts://broker.example:99999": "more than a host and a port", "mqtts://a b": "not the address",
		"mqtts://broker.example?x": "more than a host and a port", "mqtts://me:secret@broker.example": "leave it out", "broker.example": "not the address",
	} {
		o := serveOptions{here: &here{}, listen: ":8443", name: "hub-a", logFormat: "auto", brokers: []string{broker}, size: 1}
		err := o.check()
		if wrong == "" && (err != nil || len(o.urls) != 1) || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%s: %v, want %q", broker, err, wrong)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", broker, err)
		}
		if err != nil && strings.Contains(err.Error(), "password_file") { // a key of gateway.yaml: the hub has no such file
			t.Errorf("%s: the hub has no such key: %v", broker, err)
		}
	}
}

// A gateway is left alone for ten minutes if it says that it can send nothing, not because the
// broker was away for a moment.
func TestUnasked(t *testing.T) {
	if err := unasked(wire.Errorf(503, "the hub has no connection to the broker")); wire.AsError(err).Code != 408 {
		t.Errorf("on the way: %v", err)
	}
	if err := unasked(fleet.Refusal{Why: wire.Errorf(503, "the bytes are used")}); wire.AsError(err).Code != 503 {
		t.Errorf("the gateway's: %v", err)
	}
	if err := unasked(nil); err != nil {
		t.Error(err)
	}
}
