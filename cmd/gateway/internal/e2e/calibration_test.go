package e2e

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// Calibrated values are corrected for all readers, live and later. The log has the measured
// values, and a new calibration does not change older readings.
func TestCalibration(t *testing.T) {
	t.Parallel()
	bin, state := buildGateway(t), t.TempDir()
	const sensor = "sensors:\n  - {name: indoor, chip: sht3x, calibration: {temperature: {offset: %}}}\n"
	celsius := emulatedCelsius(t)
	run := func(offset string) (p *gatewayProcess, value float64) {
		t.Helper()
		p = startGateway(t, bin, "--simulate", "--config", writeFile(t, "gateway.yaml", strings.Replace(sensor, "%", offset, 1)), "--listen", "127.0.0.1:0", "--state", state)
		var reading struct{ Payload struct{ Temp float64 } }
		await(t, "indoor measures", func() bool {
			answer, err := http.Get(pageOf(p) + "sensors/indoor")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			return answer.StatusCode == http.StatusOK && json.NewDecoder(answer.Body).Decode(&reading) == nil && reading.Payload.Temp != 0
		})
		return p, reading.Payload.Temp
	}
	about := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 3 {
			t.Errorf("%s: %.2f, want about %.2f", what, got, want)
		}
	}
	p, value := run("10")
	about("live", value, celsius+10)
	await(t, "a reading is on the disk", func() bool { return bytes.Count(gatewayExport(t, bin, state), []byte("\n")) > 1 })
	p.Kill(t)
	p, value = run("-10")
	about("live, with another calibration", value, celsius-10)
	var hello wire.Hello
	dialWith(t, p.URL, addToken(t, state, p, tokens.Token{Name: "display", Role: tokens.Viewer})).read("hello", &hello)
	if c := hello.Sensors[0].Calibration["temperature"]; c != (wire.Calibration{Scale: 1, Offset: -10}) {
		t.Errorf("hello says %+v", c)
	}
	p.Kill(t)

	// temperatures returns the first and the last that an export has.
	temperatures := func(args ...string) (first, last float64) {
		t.Helper()
		for _, line := range parsedCSV(t, gatewayExport(t, bin, state, args...)) {
			value, err := strconv.ParseFloat(line[4], 64)
			if err != nil {
				continue // it has failed
			}
			if last = value; first == 0 {
				first = value
			}
		}
		return first, last
	}
	first, last := temperatures()
	about("the first record", first, celsius+10)
	about("the last record", last, celsius-10)
	first, last = temperatures("--measured")
	about("the first record, as measured", first, celsius)
	about("the last record, as measured", last, celsius)
}
