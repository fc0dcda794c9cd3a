package config

import (
	"maps"
	"reflect"
	"testing"
	"time"
)

// kernelChips are the chips, and one that shares its device with another name.
func kernelChips() map[string]Chip {
	chips := maps.Clone(testChips)
	chips["dht22"] = Chip{MinInterval: 2100 * time.Millisecond, Values: climate, Coarse: true, Class: "iio", Device: "dht11"}
	return chips
}

func TestKernelSensors(t *testing.T) {
	c, err := Parse("gateway.yaml", []byte(`sensors:
  - {name: attic, chip: ds18b20}
  - {name: air, chip: dht22, interval: 5s}
  - {name: cpu, chip: hwmon, device: cpu_thermal}
  - {name: left, chip: hwmon, device: sht4x, id: 1-0044}
  - {name: right, chip: hwmon, device: sht4x, id: 1-0045}
  - {name: room, chip: sht3x}
`), kernelChips())
	if err != nil {
		t.Fatal(err)
	}
	const s = time.Second
	want := []Sensor{
		{Name: "attic", Chip: "ds18b20", Class: "w1", Device: "ds18b20", Interval: s},
		{Name: "air", Chip: "dht22", Class: "iio", Device: "dht11", Interval: 5 * s},
		{Name: "cpu", Chip: "hwmon", Class: "hwmon", Device: "cpu_thermal", Interval: s},
		{Name: "left", Chip: "hwmon", Class: "hwmon", Device: "sht4x", ID: "1-0044", Interval: 2100 * time.Millisecond, StuckAfter: 60 * s},
		{Name: "right", Chip: "hwmon", Class: "hwmon", Device: "sht4x", ID: "1-0045", Interval: 2100 * time.Millisecond, StuckAfter: 60 * s},
		{Name: "room", Chip: "sht3x", Bus: "1", Address: 0x44, Interval: s / 10, StuckAfter: 60 * s},
	}
	if !reflect.DeepEqual(c.Sensors, want) {
		t.Errorf("%+v\nwant %+v", c.Sensors, want)
	}
	for i, place := range []string{"w1 ds18b20", "iio dht11", "hwmon cpu_thermal", "hwmon 1-0044", "hwmon 1-0045", "bus 1 0x44"} {
		if got := c.Sensors[i].Place(); got != place {
			t.Errorf("%s is at %q, want %q", c.Sensors[i].Name, got, place)
		}
	}
}

func TestBadKernelSensors(t *testing.T) {
	for _, tt := range []struct{ name, sensor, want string }{
		{"a bus", "{name: a, chip: ds18b20, bus: 1, address: 0x44, power: GPIO11}",
			`gateway.yaml:2: sensors[0].bus: ds18b20 is on no I²C bus, the kernel reads it (remove the line)
gateway.yaml:2: sensors[0].address: ds18b20 is on no I²C bus, the kernel reads it (remove the line)
gateway.yaml:2: sensors[0].power: ds18b20 is on no I²C bus, the kernel reads it (remove the line)`},
		{"an id on a bus", "{name: a, chip: sht3x, id: 1-0044, device: sht3x}",
			`gateway.yaml:2: sensors[0].id: sht3x is on an I²C bus, the kernel does not read it (remove the line)
gateway.yaml:2: sensors[0].device: sht3x is on an I²C bus, the kernel does not read it (remove the line)`},
		{"an id of another family", "{name: a, chip: ds18b20, id: 10-000802824e58}",
			`gateway.yaml:2: sensors[0].id: "10-000802824e58" is no id of ds18b20 (write it as 28-0123456789ab: ls /sys/bus/w1/devices lists them; one that begins otherwise is chip: hwmon, device: w1_slave_temp)`},
		{"an id in capitals", "{name: a, chip: ds18b20, id: 28-0123456789AB}",
			`gateway.yaml:2: sensors[0].id: "28-0123456789AB" is no id of ds18b20 (write it as 28-0123456789ab: ls /sys/bus/w1/devices lists them; one that begins otherwise is chip: hwmon, device: w1_slave_temp)`},
		{"an id that is a path", "{name: a, chip: dht22, id: ../x}", `gateway.yaml:2: sensors[0].id: "../x" is no id (write what gateway scan shows, such as 1-0044)`},
		{"no device", "{name: a, chip: hwmon}", `gateway.yaml:2: sensors[0]: no device (add one, such as device: sht3x; gateway scan lists them)`},
		{"a device that is a path", "{name: a, chip: hwmon, device: hwmon0/name}",
			`gateway.yaml:2: sensors[0].device: "hwmon0/name" is not a device (write the name that gateway scan shows, such as cpu_thermal)`},
		{"a device too many", "{name: a, chip: ds18b20, device: x}", `gateway.yaml:2: sensors[0].device: ds18b20 is one device (remove the line)`},
		{"more often than the kernel", "{name: a, chip: hwmon, device: sht4x, interval: 1s}",
			`gateway.yaml:2: sensors[0].interval: "1s" is too short: the kernel has a new value of sht4x every 2.1s at best (write 2.1s or more)`},
		{"more often than the chip", "{name: a, chip: ds18b20, interval: 100ms}",
			`gateway.yaml:2: sensors[0].interval: "100ms" is too short: the kernel has a new value of ds18b20 every 1s at best (write 1s or more)`},
		{"two of which one has no id", "{name: a, chip: ds18b20}\n  - {name: b, chip: ds18b20, id: 28-0123456789ab}",
			`gateway.yaml:3: sensors[1].id: there are several of ds18b20, and sensors[0] on line 2 is one of them: each needs an id (gateway scan lists them)`},
		{"two of which the other has no id", "{name: a, chip: ds18b20, id: 28-0123456789ab}\n  - {name: b, chip: ds18b20}",
			`gateway.yaml:3: sensors[1].id: there are several of ds18b20, and sensors[0] on line 2 is one of them: each needs an id (gateway scan lists them)`},
		{"one id twice", "{name: a, chip: ds18b20, id: 28-0123456789ab}\n  - {name: b, chip: ds18b20, id: 28-0123456789ab}",
			`gateway.yaml:3: sensors[1].id: "28-0123456789ab" is the id of sensors[0] on line 2 too (remove one)`},
		{"nothing else to measure", "{name: a, chip: hwmon, device: sht4x, also: [pressure]}",
			`gateway.yaml:2: sensors[0].also[0]: hwmon measures nothing else (remove the line)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("gateway.yaml", []byte("sensors:\n  - "+tt.sensor+"\n"), kernelChips())
			wantConfigError(t, err, tt.want)
		})
	}
}
