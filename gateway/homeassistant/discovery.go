package homeassistant

import (
	"encoding/json"

	"sensorgateway/wire"
)

// device is the message by which Home Assistant knows all of the gateway
// (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload).
type device struct {
	Device       deviceInfo           `json:"dev"`
	Origin       origin               `json:"o"`
	Components   map[string]component `json:"cmps"`
	Availability []availability       `json:"availability"`
	QoS          int                  `json:"qos"`
}

type deviceInfo struct {
	IDs          []string `json:"ids"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"mf"`
	Model        string   `json:"mdl"`
	Version      string   `json:"sw"`
	Page         string   `json:"cu,omitempty"`
}

type origin struct {
	Name    string `json:"name"`
	Version string `json:"sw"`
}

type availability struct {
	Topic string `json:"topic"`
}

// component is an entity. One with only a platform makes Home Assistant remove it.
type component struct {
	Platform string `json:"p"`

	UniqueID      string         `json:"unique_id,omitempty"`
	Name          string         `json:"name,omitempty"`
	DeviceClass   string         `json:"device_class,omitempty"`
	StateClass    string         `json:"state_class,omitempty"`
	Unit          string         `json:"unit_of_measurement,omitempty"`
	Decimals      *int           `json:"suggested_display_precision,omitempty"`
	StateTopic    string         `json:"state_topic,omitempty"`
	ValueTemplate string         `json:"value_template,omitempty"`
	Availability  []availability `json:"availability,omitempty"`
	Mode          string         `json:"availability_mode,omitempty"`

	CommandTopic      string `json:"command_topic,omitempty"`
	Optimistic        *bool  `json:"optimistic,omitempty"`
	StateTemplate     string `json:"state_value_template,omitempty"`
	SpeedCommand      string `json:"percentage_command_topic,omitempty"`
	SpeedState        string `json:"percentage_state_topic,omitempty"`
	SpeedTemplate     string `json:"percentage_value_template,omitempty"`
	DirectionCommand  string `json:"direction_command_topic,omitempty"`
	DirectionState    string `json:"direction_state_topic,omitempty"`
	DirectionTemplate string `json:"direction_value_template,omitempty"`
	AttributesTopic   string `json:"json_attributes_topic,omitempty"`
}

// announcement returns the device as the configuration has it.
func (b *Bridge) announcement() device {
	o := b.opts
	d := device{
		Device: deviceInfo{IDs: []string{o.ID}, Name: o.Name, Manufacturer: "gateway", Model: "gateway", Version: o.Version, Page: o.Page},
		Origin: origin{"gateway", o.Version}, Components: map[string]component{},
		Availability: []availability{{b.topics.availability}}, QoS: 1,
	}
	if o.Simulated {
		d.Device.Model = "gateway, simulated"
	}
	for _, s := range o.Sensors {
		for _, q := range s.Quantities() {
			d.Components[s.Name+"_"+q.Name] = b.quantity(s, q)
		}
	}
	for _, m := range o.Motors() {
		// The platform is in the key, because a component cannot change its platform.
		c := b.motor(m)
		d.Components[m.Target+"_"+c.Platform] = c
	}
	if len(o.Motors()) > 0 {
		d.Components["estop"] = component{Platform: "binary_sensor", Name: "e-stop", DeviceClass: "safety", StateTopic: b.topics.estop(), ValueTemplate: "{{ value }}"}
	}
	b.opts.Alarms(func(a wire.Alarm) {
		topic := b.topics.alarm(a.Name)
		d.Components["alarm_"+a.Name] = component{
			Platform: "binary_sensor", Name: "alarm " + a.Name, DeviceClass: "problem", StateTopic: topic, ValueTemplate: "{{ value_json.state }}", AttributesTopic: topic,
		}
	})
	for key, c := range d.Components {
		c.UniqueID = o.ID + "_" + key
		d.Components[key] = c
	}
	return d
}

func (b *Bridge) quantity(s wire.SensorInfo, q wire.Quantity) component {
	return component{
		Platform: "sensor", Name: s.Name + " " + q.Name, DeviceClass: q.DeviceClass, StateClass: "measurement", Unit: q.Unit, Decimals: &q.Decimals,
		StateTopic: b.topics.sensor(s.Name), ValueTemplate: "{{ value_json." + q.Name + " }}",
		Availability: []availability{{b.topics.availability}, {b.topics.sensorAvailable(s.Name)}}, Mode: "all",
	}
}

// motor returns a switch or a fan if Home Assistant may command, else a binary sensor.
func (b *Bridge) motor(m wire.MotorState) component {
	topic := b.topics.motor(m.Target)
	c := component{Platform: "binary_sensor", Name: m.Target, DeviceClass: "running", StateTopic: topic, ValueTemplate: "{{ value_json.state }}", AttributesTopic: topic}
	if b.opts.MaxRun == 0 {
		return c
	}
	c.CommandTopic, c.Optimistic, c.DeviceClass = b.topics.command(m.Target, onOff), new(bool), ""
	if !m.Proportional && !m.Reversible {
		c.Platform = "switch"
		return c
	}
	c.Platform, c.StateTemplate, c.ValueTemplate = "fan", c.ValueTemplate, ""
	if m.Proportional {
		c.SpeedCommand, c.SpeedState, c.SpeedTemplate = b.topics.command(m.Target, percentage), topic, "{{ value_json.speed }}"
	}
	if m.Reversible {
		c.DirectionCommand, c.DirectionState, c.DirectionTemplate = b.topics.command(m.Target, direction), topic, "{{ value_json.direction }}"
	}
	return c
}

// withRemovals returns the announcement with the components added that only an earlier
// one, retained by the broker, has: each with only its platform, by which Home Assistant
// removes it. It returns false if there is nothing to remove.
func withRemovals(d device, earlier []byte) (device, bool) {
	var was struct {
		Components map[string]struct {
			Platform string `json:"p"`
		} `json:"cmps"`
	}
	if err := json.Unmarshal(earlier, &was); err != nil {
		return d, false // not ours; it is replaced
	}
	all, removed := map[string]component{}, false
	for key, c := range was.Components {
		if _, ok := d.Components[key]; !ok && c.Platform != "" {
			all[key], removed = component{Platform: c.Platform}, true
		}
	}
	for key, c := range d.Components {
		all[key] = c
	}
	d.Components = all
	return d, removed
}
