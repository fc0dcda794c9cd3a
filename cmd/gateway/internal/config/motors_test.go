package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/condition"
	"sensorgateway/gateway/motor"
	"sensorgateway/wire"
)

// badMotors are files whose motors or e-stop must be refused.
var badMotors = []struct{ name, file, want string }{
	{"motor is a word", oneSensor + "motors: [fan]\n",
		`gateway.yaml:2: motors[0]: "fan" where keys with values must be (write key: value)`},
	{"nothing of a motor", oneSensor + "motors: [{}]\n",
		`gateway.yaml:2: motors[0]: no name (add one, such as name: motor_1)
gateway.yaml:2: motors[0].kind: missing; write on_off, h_bridge or dir_pwm`},
	{"motor names", oneSensor + `motors:
  - {name: Fan, kind: on_off, pin: GPIO9}
  - {name: all, kind: on_off, pin: GPIO10}
  - {name: a, kind: on_off, pin: GPIO11}
  - {name: a, kind: on_off, pin: GPIO12}
`,
		`gateway.yaml:3: motors[0].name: "Fan" is not a name (a lower-case letter, then up to 31 lower-case letters, digits, - or _)
gateway.yaml:4: motors[1].name: "all" means every motor in a command (choose another)
gateway.yaml:6: motors[3].name: "a" is the name of motors[2] on line 5 too (choose another)`},
	{"unknown kind", oneSensor + "motors: [{name: a, kind: on-off, pin: GPIO9, ramp: 1s}]\n",
		`gateway.yaml:2: motors[0].kind: "on-off" is unknown; write on_off, h_bridge or dir_pwm`},
	{"unknown keys", oneSensor + `motors:
  - {name: a, kind: on_off, pin: GPIO9, pwm_freq: 1, need: [], colour: red}
estop: {pin: GPIO10, active_low: true}
`,
		`gateway.yaml:3: unknown key "pwm_freq" in motors[0] (did you mean "pwm_frequency"?)
gateway.yaml:3: unknown key "need" in motors[0] (did you mean "needs"?)
gateway.yaml:3: unknown key "colour" in motors[0] (known: name, kind, pin, in1, in2, enable, standby, dir, pwm, active_low, pwm_frequency, ramp, dwell, min_pause, max_run, on_operator_loss, needs)
gateway.yaml:4: unknown key "active_low" in estop (known: pin)`},
	{"pins missing", oneSensor + `motors:
  - {name: a, kind: on_off}
  - {name: b, kind: h_bridge, in1: GPIO9}
  - {name: c, kind: dir_pwm, pwm: }
`,
		`gateway.yaml:3: motors[0].pin: missing; a motor of kind on_off needs it, such as pin: GPIO17
gateway.yaml:4: motors[1].in2: missing; a motor of kind h_bridge needs it, such as in2: GPIO17
gateway.yaml:5: motors[2].dir: missing; a motor of kind dir_pwm needs it, such as dir: GPIO17
gateway.yaml:5: motors[2].pwm: no value (give it one, or remove the line)`},
	{"keys of other kinds", oneSensor + `motors:
  - name: a
    kind: on_off
    pin: GPIO9
    in1: GPIO10
    enable: GPIO11
    dir: GPIO12
    pwm_frequency: 100
    ramp: 1s
    dwell: 1s
  - name: b
    kind: dir_pwm
    dir: GPIO13
    pin: GPIO14
    active_low: true
`,
		`gateway.yaml:6: motors[0].in1: kind on_off has none (remove it, or write kind: h_bridge)
gateway.yaml:7: motors[0].enable: kind on_off has none (remove it, or write kind: h_bridge or dir_pwm)
gateway.yaml:8: motors[0].dir: kind on_off has none (remove it, or write kind: dir_pwm)
gateway.yaml:9: motors[0].pwm_frequency: the motor has no pin with PWM
gateway.yaml:10: motors[0].ramp: a motor of kind on_off is on or off (remove the line)
gateway.yaml:11: motors[0].dwell: a motor of kind on_off turns one way only (remove the line)
gateway.yaml:12: motors[1].pwm: missing; a motor of kind dir_pwm needs it, such as pwm: GPIO17
gateway.yaml:15: motors[1].pin: kind dir_pwm has none (remove it, or write kind: on_off)
gateway.yaml:16: motors[1].active_low: only with kind on_off`},
	{"pins", oneSensor + `motors:
  - {name: m0, kind: on_off, pin: gpio17}
  - {name: m1, kind: on_off, pin: BCM 9}
  - {name: m2, kind: on_off, pin: GPIO09}
  - {name: m3, kind: on_off, pin: -1}
  - {name: m4, kind: on_off, pin: /dev/gpiochip0/1}
  - {name: m5, kind: on_off, pin: gpiochip0}
  - {name: m6, kind: on_off, pin: pwmchip0/0}
  - {name: m7, kind: dir_pwm, dir: pwmchip0/1, pwm: pwmchip0}
  - {name: m8, kind: on_off, pin: [GPIO9]}
  - {name: m9, kind: on_off, pin: ''}
estop:
  pin: pwmchip0/2
`,
		`gateway.yaml:3: motors[0].pin: "gpio17" is not a pin (write GPIO17)
gateway.yaml:4: motors[1].pin: "BCM 9" is not a pin (write GPIO9)
gateway.yaml:5: motors[2].pin: "GPIO09" is not a pin (write GPIO9)
gateway.yaml:6: motors[3].pin: "-1" is not a GPIO line: write GPIO17, 17 or gpiochip2/17
gateway.yaml:7: motors[4].pin: "/dev/gpiochip0/1" is not a GPIO line: write the chip as gpiochip2
gateway.yaml:8: motors[5].pin: "gpiochip0" is not a GPIO line: write GPIO17, 17 or gpiochip2/17
gateway.yaml:9: motors[6].pin: "pwmchip0/0" is a PWM channel; write a line, such as GPIO17
gateway.yaml:10: motors[7].dir: "pwmchip0/1" is a PWM channel; write a line, such as GPIO17
gateway.yaml:10: motors[7].pwm: "pwmchip0" is not a PWM channel: write pwmchip0/0
gateway.yaml:11: motors[8].pin: a list where a single value must be (write pin: value)
gateway.yaml:12: motors[9].pin: "" is not a pin (write one, such as GPIO17, or remove the line)
gateway.yaml:14: estop.pin: "pwmchip0/2" is a PWM channel; write a line, such as GPIO17`},
	{"pin of the e-stop, none", oneSensor + "estop: {}\n",
		`gateway.yaml:2: estop: no pin (add one, such as pin: GPIO22)`},
	{"pin of the e-stop, misspelt", oneSensor + "estop: {pin: gpio22}\n",
		`gateway.yaml:2: estop.pin: "gpio22" is not a pin (write GPIO22)`},
	{"one pin twice", oneSensor + `estop: {pin: 22}
motors:
  - {name: a, kind: on_off, pin: GPIO17}
  - name: b
    kind: h_bridge
    in1: 17
    in2: GPIO22
    enable: pwmchip0/0
  - {name: c, kind: dir_pwm, dir: gpiochip0/17, pwm: pwmchip0/0}
  - {name: d, kind: dir_pwm, dir: gpiochip2/17, pwm: gpiochip2/17}
  - {name: e, kind: dir_pwm, dir: GPIO9, pwm: gpiochip0/9}
`,
		`gateway.yaml:7: motors[1].in1: "17" is in use by motors[0].pin on line 4 (choose another)
gateway.yaml:8: motors[1].in2: "GPIO22" is in use by estop.pin on line 2 (choose another)
gateway.yaml:10: motors[2].dir: "gpiochip0/17" is in use by motors[0].pin on line 4 (choose another)
gateway.yaml:10: motors[2].pwm: "pwmchip0/0" is in use by motors[1].enable on line 9 (choose another)
gateway.yaml:11: motors[3].pwm: gpiochip2/17 is dir already
gateway.yaml:12: motors[4].pwm: "gpiochip0/9" is in use by motors[4].dir on line 12 (choose another)`},
	{"the first in the file keeps the pin", oneSensor + `motors: [{name: a, kind: on_off, pin: GPIO17}]
estop: {pin: GPIO17}
`,
		`gateway.yaml:3: estop.pin: "GPIO17" is in use by motors[0].pin on line 2 (choose another)`},
	{"pins that feed sensors", `sensors:
  - {name: a, chip: sht3x, power: GPIO26}
  - {name: b, chip: bme280, power: gpiochip0/26}
  - {name: c, chip: sht3x, bus: 3, power: GPIO26}
  - {name: d, chip: sht3x, bus: 4, power: gpio27}
  - {name: e, chip: sht3x, bus: 5, power: pwmchip0/0}
  - {name: f, chip: sht3x, bus: 6, power: ""}
  - {name: g, chip: sht3x, bus: 7, power: GPIO2}
  - {name: h, chip: sht3x, bus: 8, power: gpiochip0/1}
motors: [{name: m, kind: on_off, pin: GPIO26}]
`,
		`gateway.yaml:4: sensors[2].power: "GPIO26" feeds sensors of bus 1 too (a pin feeds those of one bus)
gateway.yaml:5: sensors[3].power: "gpio27" is not a pin (write GPIO27)
gateway.yaml:6: sensors[4].power: "pwmchip0/0" is a PWM channel; write a line, such as GPIO17
gateway.yaml:7: sensors[5].power: "" is not a pin (write one, such as GPIO17, or remove the line)
gateway.yaml:8: sensors[6].power: "GPIO2" is a wire of I²C bus 1, which sensor a needs (choose another, best one of GPIO9 to GPIO27)
gateway.yaml:10: motors[0].pin: "GPIO26" feeds sensor a (choose another)`},
	{"pins of I²C buses", `sensors:
  - {name: a, chip: sht3x, bus: 1}
  - {name: b, chip: sht3x, bus: 0}
  - {name: c, chip: sht3x, bus: 3}
motors:
  - {name: a, kind: on_off, pin: GPIO2}
  - {name: b, kind: dir_pwm, dir: gpiochip0/3, pwm: 0}
estop: {pin: GPIO1}
`,
		`gateway.yaml:6: motors[0].pin: "GPIO2" is a wire of I²C bus 1, which sensor a needs (choose another, best one of GPIO9 to GPIO27)
gateway.yaml:7: motors[1].dir: "gpiochip0/3" is a wire of I²C bus 1, which sensor a needs (choose another, best one of GPIO9 to GPIO27)
gateway.yaml:7: motors[1].pwm: "0" is a wire of I²C bus 0, which sensor b needs (choose another, best one of GPIO9 to GPIO27)
gateway.yaml:8: estop.pin: "GPIO1" is a wire of I²C bus 0, which sensor b needs (choose another, best one of GPIO9 to GPIO27)`},
	{"frequencies", oneSensor + `motors:
  - {name: m0, kind: dir_pwm, dir: GPIO9, pwm: GPIO10, pwm_frequency: 0}
  - {name: m1, kind: dir_pwm, dir: GPIO11, pwm: GPIO12, pwm_frequency: 201}
  - {name: m2, kind: dir_pwm, dir: GPIO13, pwm: pwmchip0/0, pwm_frequency: 100001}
  - {name: m3, kind: dir_pwm, dir: GPIO14, pwm: pwmchip0/1, pwm_frequency: 1kHz}
  - {name: m4, kind: h_bridge, in1: GPIO15, in2: GPIO16, enable: GPIO17, pwm_frequency: 1000}
`,
		`gateway.yaml:3: motors[0].pwm_frequency: 0 is no frequency (remove the line for the usual one)
gateway.yaml:4: motors[1].pwm_frequency: 201 Hz is not from 10 to 200, which is what software can do on a line; a PWM channel, such as pwm: pwmchip0/0, can do more
gateway.yaml:5: motors[2].pwm_frequency: "100001" is not a whole number from 0 to 100000 (write it in hertz, such as 100)
gateway.yaml:6: motors[3].pwm_frequency: "1kHz" is not a whole number from 0 to 100000 (write it in hertz, such as 100)
gateway.yaml:7: motors[4].pwm_frequency: 1000 Hz is not from 10 to 200, which is what software can do on a line; a PWM channel, such as enable: pwmchip0/0, can do more`},
	{"times", oneSensor + `motors:
  - {name: m0, kind: dir_pwm, dir: GPIO9, pwm: GPIO10, ramp: 500, dwell: 2, min_pause: 61s, max_run: 25h}
  - {name: m1, kind: dir_pwm, dir: GPIO11, pwm: GPIO12, ramp: 1m1ms, dwell: 1h, min_pause: -1s, max_run: never}
  - {name: m2, kind: dir_pwm, dir: GPIO13, pwm: GPIO14, max_run: 10}
`,
		`gateway.yaml:3: motors[0].ramp: "500" has no unit (write 500ms)
gateway.yaml:3: motors[0].dwell: "2" has no unit (write 2s)
gateway.yaml:3: motors[0].min_pause: "61s" is out of range (0s to 1m)
gateway.yaml:3: motors[0].max_run: "25h" is out of range (0s to 24h)
gateway.yaml:4: motors[1].ramp: "1m1ms" is out of range (0s to 1m)
gateway.yaml:4: motors[1].dwell: "1h" is out of range (0s to 1m)
gateway.yaml:4: motors[1].min_pause: "-1s" is out of range (0s to 1m)
gateway.yaml:4: motors[1].max_run: "never" is not a duration (write a number with a unit, such as 100ms, 5s or 1m30s)
gateway.yaml:5: motors[2].max_run: "10" has no unit (write 10s)`},
	{"no ramp without a speed", oneSensor + "motors: [{name: a, kind: h_bridge, in1: 9, in2: 10, ramp: 1s, dwell: 1s}]\n",
		`gateway.yaml:2: motors[0].ramp: without enable or pwm the motor is on or off (remove the line)`},
	{"operator loss", oneSensor + "motors: [{name: a, kind: on_off, pin: 9, on_operator_loss: go}]\n",
		`gateway.yaml:2: motors[0].on_operator_loss: unknown value "go" (write stop or keep)`},
	{"needs is a word", oneSensor + "motors: [{name: a, kind: on_off, pin: 9, needs: indoor.age < 1s}]\n",
		`gateway.yaml:2: motors[0].needs: "indoor.age < 1s" where a list must be (write needs: ["indoor.age < 1s"])`},
	{"needs", oneSensor + `motors:
  - name: a
    kind: on_off
    pin: 9
    needs:
      - indor.temperature < 60
      - attic.temperature < 60
      - indoor < 60
      - indoor.temprature < 60
      - indoor.temperature = 60
      - indoor.temperature < hot
      - indoor.age < 5
      - indoor.age: 500ms
      - [indoor.age < 500ms]
      -
`,
		`gateway.yaml:7: motors[0].needs[0]: no sensor is named "indor" (did you mean "indoor"?)
gateway.yaml:8: motors[0].needs[1]: no sensor is named "attic" (write indoor)
gateway.yaml:9: motors[0].needs[2]: interlock "indoor < 60": "indoor" names no quantity: write SENSOR.QUANTITY or SENSOR.age, such as indoor.temperature
gateway.yaml:10: motors[0].needs[3]: interlock "indoor.temprature < 60": unknown quantity "temprature": write temperature, humidity or age
gateway.yaml:11: motors[0].needs[4]: interlock "indoor.temperature = 60": unknown comparison "=": write <, <=, > or >=
gateway.yaml:12: motors[0].needs[5]: interlock "indoor.temperature < hot": "hot" is not a number
gateway.yaml:13: motors[0].needs[6]: interlock "indoor.age < 5": "5" is not a duration such as 500ms
gateway.yaml:14: motors[0].needs[7]: a mapping where a single value must be (a value with ": " or [ ] in it needs quotes)
gateway.yaml:15: motors[0].needs[8]: a list where a single value must be (a value with ": " or [ ] in it needs quotes)
gateway.yaml:16: motors[0].needs[9]: no value (give it one, or remove the line)`},
	{"needs, of many sensors", `sensors:
  - {name: hall, chip: aht20}
  - {name: kitchen, chip: sht3x}
motors: [{name: a, kind: on_off, pin: 9, needs: [attic.age < 5s]}]
`,
		`gateway.yaml:4: motors[0].needs[0]: no sensor is named "attic" (write hall or kitchen)`},
	{"needs, without sensors", "motors: [{name: a, kind: on_off, pin: 9, needs: [attic.age < 5s]}]\n",
		`gateway.yaml:1: no sensors (add them: each has a name and a chip, aht20, bme280, ds18b20, hwmon or sht3x)`},
	{"a long need is cut", oneSensor + "motors: [{name: a, kind: on_off, pin: 9, needs: [indoor." + strings.Repeat("x", 300) + " < 5]}]\n",
		`gateway.yaml:2: motors[0].needs[0]: interlock "indoor.` + strings.Repeat("x", 182) + `…`},
}

func need(t *testing.T, text string) condition.Condition {
	t.Helper()
	c, err := motor.ParseInterlock(text, func(name string) (*wire.SensorInfo, bool) {
		return &wire.SensorInfo{ID: 1}, name == "outdoor"
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMotorConfig(t *testing.T) {
	c, err := parse(t, `
sensors: [{name: indoor, chip: sht3x}, {name: outdoor, chip: bme280}]
estop: {pin: 22}
motors:
  - {name: plain, kind: on_off, pin: GPIO17}
  - name: relay
    kind: on_off
    pin: gpiochip2/3
    active_low: true
    min_pause: 2s
    max_run: 24h
    on_operator_loss: keep
    needs: ["outdoor.temperature < 60", outdoor.age < 500ms]
  - {name: gate, kind: h_bridge, in1: 23, in2: GPIO24, enable: pwmchip0/0, standby: GPIO16, pwm_frequency: 100000, ramp: 1m, dwell: 200ms, on_operator_loss: stop}
  - {name: fan, kind: dir_pwm, dir: GPIO26, pwm: GPIO18, pwm_frequency: 200, needs: []}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Motor{
		{Name: "plain", Output: motor.Spec{Kind: "on_off", Pin: "GPIO17"}},
		{
			Name: "relay", Output: motor.Spec{Kind: "on_off", Pin: "gpiochip2/3", ActiveLow: true},
			MinPause: 2 * time.Second, MaxRun: 24 * time.Hour, KeepOnLoss: true,
			Needs: []condition.Condition{need(t, "outdoor.temperature < 60"), need(t, "outdoor.age < 500ms")},
		},
		{
			Name:   "gate",
			Output: motor.Spec{Kind: "h_bridge", In1: "23", In2: "GPIO24", Enable: "pwmchip0/0", Standby: "GPIO16", PWMFrequency: 100_000},
			Ramp:   time.Minute, Dwell: 200 * time.Millisecond,
		},
		{Name: "fan", Output: motor.Spec{Kind: "dir_pwm", Dir: "GPIO26", PWM: "GPIO18", PWMFrequency: 200}},
	}
	if diff := cmp.Diff(want, c.Motors); diff != "" {
		t.Errorf("motors (-want +got):\n%s", diff)
	}
	if c.EStopPin != "22" {
		t.Errorf("e-stop on %q", c.EStopPin)
	}
}

// A pin is free if the sensors are on another bus.
func TestMotorOnPinsOfAnUnusedBus(t *testing.T) {
	file := "sensors: [{name: a, chip: sht3x, bus: 3}]\nmotors: [{name: a, kind: dir_pwm, dir: GPIO2, pwm: GPIO0}]\n"
	if _, err := parse(t, file); err != nil {
		t.Error(err)
	}
}

func motorLines(n int) string {
	var b strings.Builder
	b.WriteString(oneSensor + "motors:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: m%d, kind: on_off, pin: gpiochip2/%d}\n", i, i)
	}
	return b.String()
}

func TestMotorLimit(t *testing.T) {
	if c, err := parse(t, motorLines(32)); err != nil || len(c.Motors) != 32 {
		t.Errorf("32 motors: %v", err)
	}
	_, err := parse(t, motorLines(33))
	wantConfigError(t, err, "gateway.yaml:35: motors: 33 motors are too many (at most 32)")
}

// The demonstration has a motor, and what it needs does not fail with each
// reading of a flaky sensor.
func TestSimulationHasAMotor(t *testing.T) {
	data, err := os.ReadFile("../../simulate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("../../simulate.yaml", data, testChips)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Motors) != 1 || c.Motors[0].Name != "motor_1" || !c.Motors[0].Output.Proportional() {
		t.Fatalf("motors %+v, want motor_1 alone, with a speed", c.Motors)
	}
	for _, need := range c.Motors[0].Needs {
		if !strings.Contains(need.String(), ".age < ") {
			t.Errorf("it needs %v, which a single failure ends", need)
		}
	}
}
