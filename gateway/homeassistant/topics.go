package homeassistant

import "strings"

// status is where Home Assistant says that it is online or offline, by default.
const status = "homeassistant/status"

const (
	online  = "online"
	offline = "offline"
)

// topics are those of one gateway.
type topics struct {
	config       string // of the device; the gateway's announcement is retained here
	availability string
	base         string // of all others
}

func newTopics(id string) topics {
	return topics{
		config: "homeassistant/device/" + id + "/config", availability: "gateway/" + id + "/availability", base: "gateway/" + id,
	}
}

func (t topics) sensor(name string) string          { return t.base + "/sensors/" + name }
func (t topics) sensorAvailable(name string) string { return t.sensor(name) + "/availability" }
func (t topics) estop() string                      { return t.base + "/estop" }
func (t topics) alarm(name string) string           { return t.base + "/alarms/" + name }
func (t topics) motor(name string) string           { return t.base + "/motors/" + name }

// A motor's commands are below its topic.
const (
	onOff      = "set"           // ON or OFF
	percentage = "set/speed"     // 0 to 100
	direction  = "set/direction" // forward or reverse
)

func (t topics) command(motor, what string) string { return t.motor(motor) + "/" + what }

// commands is the filter of all commands.
func (t topics) commands() string { return t.base + "/motors/+/set/#" } // and ".../set" itself (MQTT 5.0, section 4.7.1.2)

// parse returns the motor and the command that a topic is of.
func (t topics) parse(topic string) (motor, what string, ok bool) {
	rest, ok := strings.CutPrefix(topic, t.base+"/motors/")
	if !ok {
		return "", "", false
	}
	motor, what, ok = strings.Cut(rest, "/")
	return motor, what, ok && (what == onOff || what == percentage || what == direction)
}
