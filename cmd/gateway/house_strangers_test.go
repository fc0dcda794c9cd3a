package main

import "strings"

// strangers are what packages must not know of the world outside the module: the
// package, or all below a directory; the import, or all imports below it; and why.
var strangers = []arrow{
	{"wire", "time", "it is data: the same bytes give the same values at any time"},
	{"wire", "net/...", "it says what travels, not how"},
	{"wire", "os/...", "it is data"},
	{"sensors/...", "net/...", "readings are made whoever listens"},
	{"sensors/...", "github.com/gorilla/websocket", "readings are made whoever listens"},
	{"gateway/motor", "net/...", "a motor is safe without any client"},
	{"gateway/pins", "net/...", "a pin is driven by code, not by clients"},
	{"gateway/history/...", "net/...", "the log is asked through its methods"},
	{"gateway/access/tokens", "net/...", "how a secret came here is access's to know"},
	{"gateway/dashboard", "github.com/gorilla/websocket", "the page is files"},
	{"gateway/...", "github.com/coreos/go-systemd/...", "only cmd/gateway knows who started the process"},
	{"sensors/...", "github.com/coreos/go-systemd/...", "only cmd/gateway knows who started the process"},
}

// only lists packages outside the module, with the packages that alone may import them.
var only = []arrow{
	{"cmd/gateway/internal/config", "gopkg.in/yaml.v3", "whatever holds a configuration has a checked one"},
	{"cmd/gateway/internal/config/syntax", "gopkg.in/yaml.v3", "and whoever reads one is told of its mistakes in plain words"},
	{"cmd/gateway/internal/supervise", "github.com/coreos/go-systemd/...", "one file knows systemd"},
	{"gateway/...", "github.com/gorilla/websocket", "the server and the client"},
	{"cmd/gateway/internal/setup", "rsc.io/qr", "a link for a telephone is a picture"},
	{"cmd/gateway/internal/admin", "rsc.io/qr", "the page shows such a link too"},
	{"gateway/homeassistant", "github.com/eclipse/paho.golang/...", "one file knows MQTT"},
	{"gateway/hub", "github.com/eclipse/paho.golang/...", "a hub's session is MQTT's"},
	{"gateway/uplink", "github.com/eclipse/paho.golang/...", "a gateway's connection is MQTT's"},
	{"cmd/gateway/internal/field/broker", "github.com/eclipse/paho.golang/...", "it tries what the uplink does"},
	{"gateway/mqtt", "github.com/eclipse/paho.golang/...", "it pings for the client that speaks MQTT"},
	{"gateway/mqtt/mqtttest", "github.com/mochi-mqtt/...", "tests have a broker within their process"},
	{"sensors/...", "periph.io/...", "chips and buses"},
	{"gateway/motor", "periph.io/x/conn/v3/gpio", "the type of a level"},
	{"gateway/pins", "periph.io/x/conn/v3/gpio", "the type of a level"},
	{"cmd/gateway/internal/machine", "periph.io/...", "it opens them"},
	{"cmd/gateway/internal/field", "periph.io/x/conn/v3/i2c", "the type of a bus"},
	{"cmd/gateway/internal/field/scan", "periph.io/x/conn/v3/i2c", "the type of a bus"},
}

// std is what wire may import beyond nothing: it is the published protocol.
func std(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
