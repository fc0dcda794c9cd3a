package motor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"periph.io/x/conn/v3/gpio"

	"sensorgateway/gateway/pins"
)

// bench is hardware that notes each write, in order: "GPIO23=1", and fails on
// demand. It checks what must hold after each of them.
type bench struct {
	t      *testing.T
	value  map[string]float64
	held   map[string]bool
	writes []string
	fail   func(n int, pin string) bool // n: number of the write
	mute   string                       // a pin that cannot be read
}

var errBench = errors.New("burnt")

func newBench(t *testing.T) *bench {
	return &bench{t: t, value: map[string]float64{}, held: map[string]bool{}}
}

func (b *bench) Line(name string, _ bool) (pins.Line, error)        { return b.claim(name) }
func (b *bench) Input(name string, _ gpio.Pull) (pins.Input, error) { return b.claim(name) }
func (b *bench) PWM(name string, _ int) (pins.PWM, error)           { return b.claim(name) }
func (b *bench) claim(name string) (*benchPin, error) {
	if err := b.write(name, 0); err != nil {
		return nil, err
	}
	b.held[name] = true
	return &benchPin{b, name}, nil
}

func (b *bench) write(name string, value float64) error {
	n := len(b.writes)
	b.writes = append(b.writes, fmt.Sprintf("%s=%v", name, value))
	if b.fail != nil && b.fail(n, name) {
		return fmt.Errorf("%s: %w", name, errBench)
	}
	was := b.value[name]
	b.value[name] = value
	if b.fail == nil && was != value && slices.Contains([]string{"IN1", "IN2", "DIR"}, name) && b.value["SPEED"] != 0 {
		b.t.Errorf("%s changed at speed %v: %v", name, b.value["SPEED"], b.writes)
	}
	if value == 0 && was != 0 && name == "DIR" && b.value["SPEED"] != 0 {
		b.t.Errorf("thrown into the other direction: %v", b.writes)
	}
	if b.value["IN1"] == 1 && b.value["IN2"] == 1 {
		b.t.Errorf("both inputs are high: %v", b.writes)
	}
	return nil
}

type benchPin struct {
	bench *bench
	name  string
}

func (p *benchPin) String() string         { return p.name }
func (p *benchPin) Set(duty float64) error { return p.bench.write(p.name, duty) }
func (p *benchPin) Out(level gpio.Level) error {
	if level {
		return p.Set(1)
	}
	return p.Set(0)
}
func (p *benchPin) Level() (gpio.Level, error) { v, err := p.Get(); return v == 1, err }
func (p *benchPin) Close() error               { delete(p.bench.held, p.name); return nil }
func (p *benchPin) Get() (float64, error) {
	if p.bench.mute == p.name {
		return 0, fmt.Errorf("%s: %w", p.name, errBench)
	}
	return p.bench.value[p.name], nil
}

// benchMotors are outputs on a bench, whose speed is SPEED whatever its key.
// The speed of a line is at 0 or 1 there, as it would need a goroutine.
var benchMotors = []struct {
	name       string
	build      func(*bench) (*actuator, error)
	reversible bool
}{
	{"on_off", assembled(Spec{Kind: OnOff, Pin: "SPEED"}), false},
	{"h_bridge", assembled(Spec{Kind: HBridge, In1: "IN1", In2: "IN2", Enable: "SPEED"}), true},
	{"h_bridge with standby", assembled(Spec{Kind: HBridge, In1: "IN1", In2: "IN2", PWM: "SPEED", Standby: "STBY", Enable: "EN"}), true},
	{"h_bridge at full speed", assembled(Spec{Kind: HBridge, In1: "IN1", In2: "IN2", Standby: "STBY"}), true},
	{"dir_pwm", assembled(Spec{Kind: DirPWM, Dir: "DIR", PWM: "SPEED", Standby: "STBY"}), true},
}

func assembled(s Spec) func(*bench) (*actuator, error) {
	return func(b *bench) (*actuator, error) { return assemble(s, b) }
}

func TestOrderOfWrites(t *testing.T) {
	for _, tt := range []struct {
		motor int
		steps []float64
		want  [][]string // the claims first, then each step's
	}{
		{0, []float64{1, 0}, [][]string{{"SPEED=0"}, {"SPEED=0", "SPEED=1"}, {"SPEED=0"}}},
		{1, []float64{1, -1, 1, 0}, [][]string{
			{"SPEED=0", "IN1=0", "IN2=0"},
			{"SPEED=0", "IN2=0", "IN1=1", "SPEED=1"},
			{"SPEED=0", "IN1=0", "IN2=1", "SPEED=1"},
			{"SPEED=0", "IN2=0", "IN1=1", "SPEED=1"},
			{"SPEED=0", "IN1=0", "IN2=0"},
		}},
		{2, []float64{-1, -1, 1, 0, 0}, [][]string{
			{"SPEED=0", "IN1=0", "IN2=0", "EN=0", "STBY=0"},
			{"SPEED=0", "IN1=0", "IN2=1", "SPEED=1", "EN=1", "STBY=1"},
			{"SPEED=1"},
			{"SPEED=0", "IN2=0", "IN1=1", "SPEED=1"},
			{"SPEED=0", "IN1=0", "IN2=0", "EN=0", "STBY=0"},
			{"SPEED=0", "IN1=0", "IN2=0", "EN=0", "STBY=0"},
		}},
		{3, []float64{1, -1, 0}, [][]string{
			{"IN1=0", "IN2=0", "STBY=0"},
			{"IN2=0", "IN1=1", "STBY=1"},
			{"IN1=0", "IN2=1"},
			{"IN1=0", "IN2=0", "STBY=0"},
		}},
		{4, []float64{-1, 1, 0}, [][]string{
			{"SPEED=0", "DIR=0", "STBY=0"},
			{"SPEED=0", "DIR=1", "SPEED=1", "STBY=1"},
			{"SPEED=0", "DIR=0", "SPEED=1"},
			{"SPEED=0", "DIR=0", "STBY=0"},
		}},
	} {
		m := benchMotors[tt.motor]
		t.Run(m.name, func(t *testing.T) {
			b := newBench(t)
			a, err := m.build(b)
			if err != nil {
				t.Fatal(err)
			}
			check := func(what string, want []string) {
				t.Helper()
				if !slices.Equal(b.writes, want) {
					t.Errorf("%s: %v, want %v", what, b.writes, want)
				}
				b.writes = nil
			}
			check("claim", tt.want[0])
			for i, speed := range tt.steps {
				if err := a.Drive(speed); err != nil {
					t.Fatal(err)
				}
				check(fmt.Sprintf("step %d, speed %v", i, speed), tt.want[i+1])
				if got, err := a.State(); got != speed || err != nil {
					t.Errorf("step %d reads %v, %v; driven %v", i, got, err, speed)
				}
				if len(b.writes) > 0 {
					t.Errorf("reading wrote %v", b.writes)
				}
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			check("close", tt.want[len(tt.want)-1])
			if len(b.held) > 0 {
				t.Errorf("still held: %v", b.held)
			}
		})
	}
}

// Whichever write fails, everything else is off afterwards, and the error names
// the pin. A write that fails once must not keep its own pin on either.
func TestFailedWriteIsSafe(t *testing.T) {
	for _, m := range benchMotors {
		for _, way := range [][]float64{{1}, {-1}, {1, -1}, {1, 0}, {-1, 0}, {1, 1}} {
			if !m.reversible && slices.Contains(way, -1) {
				continue
			}
			for _, forGood := range []bool{false, true} {
				for at := 0; ; at++ {
					b := newBench(t)
					a, err := m.build(b)
					if err != nil {
						t.Fatal(err)
					}
					first, burnt := len(b.writes)+at, ""
					b.fail = func(n int, pin string) bool {
						if n == first {
							burnt = pin
						}
						return n == first || forGood && pin == burnt
					}
					err = nil
					for _, speed := range way {
						if err = a.Drive(speed); err != nil {
							break
						}
					}
					if burnt == "" {
						if at == 0 || err != nil {
							t.Fatalf("%s %v: nothing was written, %v", m.name, way, err)
						}
						break // all writes had their turn
					}
					where := fmt.Sprintf("%s %v, write %d of %s fails", m.name, way, at, burnt)
					if !errors.Is(err, errBench) || !strings.Contains(err.Error(), burnt) {
						t.Errorf("%s: error %v", where, err)
					}
					// The last write of a way down is the only one that is not tried again.
					stays := forGood || way[len(way)-1] == 0
					for pin, v := range b.value {
						if pin == "DIR" && burnt == "SPEED" {
							continue // nobody may touch it
						}
						if v != 0 && !(stays && pin == burnt) {
							t.Errorf("%s: %s is left at %v: %v", where, pin, v, b.writes)
						}
					}
					b.fail = nil
					if err := a.Drive(0); err != nil {
						t.Errorf("%s: mended, but %v", where, err)
					}
					for pin, v := range b.value {
						if v != 0 {
							t.Errorf("%s: after another stop %s is at %v", where, pin, v)
						}
					}
				}
			}
		}
	}
}

func TestOutputRefusesSpeeds(t *testing.T) {
	for _, m := range benchMotors {
		b := newBench(t)
		a, err := m.build(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, speed := range []float64{math.NaN(), 1.01, -1.01, math.Inf(1), -1} {
			if speed == -1 && m.reversible {
				continue
			}
			if err := a.Drive(1); err != nil {
				t.Fatal(err)
			}
			if err := a.Drive(speed); err == nil {
				t.Errorf("%s: speed %v was taken", m.name, speed)
			}
			if got, err := a.State(); got != 0 || err != nil {
				t.Errorf("%s: after speed %v it turns with %v, %v", m.name, speed, got, err)
			}
		}
	}
}

func TestStateIsReadFromThePins(t *testing.T) {
	type pins map[string]float64
	for _, tt := range []struct {
		motor int
		pins  pins
		want  float64
	}{
		{0, pins{"SPEED": 1}, 1},
		{0, pins{"SPEED": 0}, 0},
		{1, pins{"SPEED": 1, "IN1": 1}, 1},
		{1, pins{"SPEED": 1, "IN2": 1}, -1},
		{1, pins{"SPEED": 1, "IN1": 1, "IN2": 1}, 0}, // brakes
		{1, pins{"SPEED": 1}, 0},
		{1, pins{"IN1": 1}, 0},
		{2, pins{"SPEED": 1, "IN1": 1, "STBY": 1, "EN": 1}, 1},
		{2, pins{"SPEED": 1, "IN1": 1, "STBY": 1}, 0},
		{2, pins{"SPEED": 1, "IN1": 1, "EN": 1}, 0}, // sleeps
		{3, pins{"IN2": 1, "STBY": 1}, -1},
		{3, pins{"IN2": 1}, 0},
		{4, pins{"SPEED": 1, "STBY": 1}, 1},
		{4, pins{"SPEED": 1, "STBY": 1, "DIR": 1}, -1},
	} {
		b := newBench(t)
		a, err := benchMotors[tt.motor].build(b)
		if err != nil {
			t.Fatal(err)
		}
		b.value = tt.pins
		if got, err := a.State(); got != tt.want || err != nil {
			t.Errorf("%s, %v: %v, %v; want %v", benchMotors[tt.motor].name, tt.pins, got, err, tt.want)
		}
		for pin := range b.held {
			b.mute = pin
			if got, err := a.State(); got != 0 || !errors.Is(err, errBench) || !strings.Contains(err.Error(), pin) {
				t.Errorf("%s: %s cannot be read: %v, %v", benchMotors[tt.motor].name, pin, got, err)
			}
		}
	}
}
