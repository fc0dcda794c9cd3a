package motor

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSpec(t *testing.T) {
	for _, tt := range []struct {
		what  string
		spec  Spec
		wrong []string // a piece of each problem, in order
	}{
		{"relay", Spec{Kind: OnOff, Pin: "GPIO17", ActiveLow: true}, nil},
		{"L298N", Spec{Kind: HBridge, In1: "GPIO23", In2: "GPIO24", Enable: "GPIO18"}, nil},
		{"TB6612", Spec{Kind: HBridge, In1: "23", In2: "24", PWM: "pwmchip0/0", Standby: "25", PWMFrequency: 20000}, nil},
		{"L298N on a PWM channel", Spec{Kind: HBridge, In1: "23", In2: "24", Enable: "pwmchip0/0"}, nil},
		{"VNH5019", Spec{Kind: HBridge, In1: "23", In2: "24", PWM: "18", Enable: "25", PWMFrequency: 200}, nil},
		{"DRV8833", Spec{Kind: HBridge, In1: "23", In2: "24", Standby: "25"}, nil},
		{"MD10C", Spec{Kind: DirPWM, Dir: "gpiochip1/3", PWM: "gpiochip1/4", PWMFrequency: 10}, nil},

		{"nothing", Spec{}, []string{"kind: missing; write on_off, h_bridge or dir_pwm"}},
		{"unknown kind", Spec{Kind: "servo"}, []string{`kind: "servo" is unknown`}},
		{"no pin", Spec{Kind: OnOff}, []string{"pin: missing"}},
		{"no pins", Spec{Kind: HBridge}, []string{"in1: missing", "in2: missing"}},
		{"no pwm", Spec{Kind: DirPWM}, []string{"dir: missing", "pwm: missing"}},
		{"another kind's", Spec{Kind: OnOff, Pin: "17", In1: "18", In2: "19", Dir: "20", PWM: "21", Enable: "22", Standby: "23", PWMFrequency: 50},
			[]string{"in1: a motor of kind on_off has none; it has pin", "in2: ", "dir: ", "pwm: ", "enable: ", "standby: ", "pwm_frequency: "}},
		{"no line", Spec{Kind: OnOff, Pin: "017"}, []string{`pin: "017" is not a GPIO line`}},
		{"relay on a channel", Spec{Kind: OnOff, Pin: "pwmchip0/0"}, []string{"pin: \"pwmchip0/0\" is a PWM channel"}},
		{"gate on a channel", Spec{Kind: HBridge, In1: "1", In2: "2", PWM: "3", Enable: "pwmchip0/0"}, []string{"enable: \"pwmchip0/0\" is a PWM channel"}},
		{"direction on a channel", Spec{Kind: DirPWM, Dir: "pwmchip0/1", PWM: "pwmchip0/0"}, []string{"dir: "}},
		{"no channel", Spec{Kind: DirPWM, Dir: "1", PWM: "pwmchip0"}, []string{`pwm: "pwmchip0" is not a PWM channel`}},
		{"twice", Spec{Kind: HBridge, In1: "GPIO23", In2: "23", Enable: "GPIO18"}, []string{"in2: GPIO23 is in1 already"}},
		{"too fast for software", Spec{Kind: DirPWM, Dir: "1", PWM: "2", PWMFrequency: 201}, []string{"pwm_frequency: 201 Hz is not from 10 to 200"}},
		{"too slow", Spec{Kind: DirPWM, Dir: "1", PWM: "2", PWMFrequency: 9}, []string{"pwm_frequency: "}},
		{"negative", Spec{Kind: DirPWM, Dir: "1", PWM: "pwmchip0/0", PWMFrequency: -1}, []string{"pwm_frequency: -1 Hz is not from 10 to 100000"}},
		{"too fast", Spec{Kind: DirPWM, Dir: "1", PWM: "pwmchip0/0", PWMFrequency: 100001}, []string{"pwm_frequency: "}},
		{"frequency of nothing", Spec{Kind: HBridge, In1: "1", In2: "2", PWMFrequency: 100}, []string{"pwm_frequency: the motor has no pin with PWM"}},
		{"active low bridge", Spec{Kind: HBridge, In1: "1", In2: "2", ActiveLow: true}, []string{"active_low: only with kind on_off"}},
		{"all at once", Spec{Kind: HBridge, Pin: "5", In2: "x y", Enable: "1", PWMFrequency: 7, ActiveLow: true},
			[]string{"pin: ", "in1: ", "in2: ", "pwm_frequency: ", "active_low: "}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			err := tt.spec.Validate()
			var problems []error
			if err != nil {
				problems = err.(interface{ Unwrap() []error }).Unwrap()
			}
			if len(problems) != len(tt.wrong) {
				t.Fatalf("%d problems, want %d:\n%v", len(problems), len(tt.wrong), err)
			}
			for i, p := range problems {
				var key *KeyError
				if !errors.As(p, &key) || !strings.HasPrefix(tt.wrong[i], key.Key+": ") || !strings.HasPrefix(p.Error(), tt.wrong[i]) {
					t.Errorf("%q, want %q", p, tt.wrong[i])
				}
			}
		})
	}
}

func TestSpecPins(t *testing.T) {
	s := Spec{Kind: HBridge, In1: "23", In2: "GPIO24", PWM: "pwmchip0/1", Enable: "gpiochip1/3", Standby: "no line"}
	if got, want := s.Pins(), []string{"GPIO23", "GPIO24", "pwmchip0/1", "gpiochip1/3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestSpecAbilities(t *testing.T) {
	for _, tt := range []struct {
		spec                     Spec
		reversible, proportional bool
	}{
		{Spec{Kind: OnOff, Pin: "1"}, false, false},
		{Spec{Kind: HBridge, In1: "1", In2: "2"}, true, false},
		{Spec{Kind: HBridge, In1: "1", In2: "2", Enable: "3"}, true, true},
		{Spec{Kind: HBridge, In1: "1", In2: "2", PWM: "3"}, true, true},
		{Spec{Kind: DirPWM, Dir: "1", PWM: "2"}, true, true},
	} {
		if r, p := tt.spec.Reversible(), tt.spec.Proportional(); r != tt.reversible || p != tt.proportional {
			t.Errorf("%+v: reversible %v, proportional %v", tt.spec, r, p)
		}
	}
}
