package sim

import (
	"math"
	"testing"
)

// The worked example of the BMP280's datasheet, section 3.12.
func TestTrimmingExample(t *testing.T) {
	fine := bmeTrim.fine(519888)
	if math.Abs(fine-128422) > 1 {
		t.Errorf("t_fine = %.1f, want 128422", fine)
	}
	if p := bmeTrim.pressure(415148, fine); math.Abs(p-100653.27) > 0.5 {
		t.Errorf("pressure %.2f Pa, want 100653.27", p)
	}
}

func TestTrimmingBackwards(t *testing.T) {
	for temp := -40.0; temp <= 85; temp += 2.5 {
		for _, rest := range []Air{{Humidity: 0, Pressure: 30_000}, {Humidity: 45.6, Pressure: 101_325}, {Humidity: 100, Pressure: 110_000}} {
			tc, pc, hc := bmeTrim.codes(Air{Temperature: temp, Humidity: rest.Humidity, Pressure: rest.Pressure})
			fine := bmeTrim.fine(float64(tc))
			if d := fine/5120 - temp; math.Abs(d) > 0.0002 {
				t.Errorf("%.1f °C: off by %.5f", temp, d)
			}
			if d := bmeTrim.pressure(float64(pc), fine) - rest.Pressure; math.Abs(d) > 0.2 {
				t.Errorf("%.0f Pa at %.1f °C: off by %.2f", rest.Pressure, temp, d)
			}
			if d := bmeTrim.humidity(float64(hc), fine) - rest.Humidity; math.Abs(d) > 0.01 {
				t.Errorf("%.1f %% at %.1f °C: off by %.4f", rest.Humidity, temp, d)
			}
		}
	}
}
