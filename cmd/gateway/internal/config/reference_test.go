package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sensorgateway/gateway/limit"
)

const referenceFile = "../../../../configs/gateway.yaml"

func reference(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What is installed must be what a first user of a Pi needs, as it stands.
func TestReferenceConfig(t *testing.T) {
	c, err := Read(referenceFile, testChips)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: referenceFile, Listen: "localhost:8765", LogFormat: "auto", Primary: "indoor",
		Limits: limit.Default(), History: History{256 << 20, 7 * 24 * time.Hour},
		Sensors: []Sensor{sensor("indoor", "sht3x", "1", 0x44, 100*time.Millisecond, time.Minute)},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestReferenceExamplesAreValid(t *testing.T) {
	text := reference(t)
	blocks := regexp.MustCompile(`\n\n+`).Split(text, -1)
	examples := 0
	for i, block := range blocks {
		if !exampleForm.MatchString(block) {
			continue
		}
		examples++
		alone := append([]string(nil), blocks...)
		alone[i] = uncomment(block)
		if _, err := parse(t, strings.Join(alone, "\n\n")); err != nil {
			t.Errorf("uncommented:\n%s\n%v", block, err)
		}
	}
	if examples < 14 {
		t.Errorf("%d examples found, want at least 14", examples)
	}
	c, err := parse(t, uncomment(text))
	if err != nil {
		t.Fatalf("all uncommented: %v", err)
	}
	chips := map[string]bool{}
	for _, s := range c.Sensors {
		chips[s.Chip] = true
	}
	for chip := range testChips {
		if !chips[chip] {
			t.Errorf("no example for %s", chip)
		}
	}
	kinds := map[string]bool{}
	for _, m := range c.Motors {
		kinds[m.Output.Kind] = true
	}
	for _, kind := range motorKinds {
		if !kinds[kind] {
			t.Errorf("no example for %s", kind)
		}
	}
}

// The keys that exist are those that a complaint about an unknown one lists.
func TestReferenceHasEveryKey(t *testing.T) {
	_, err := parse(t, `
sensors: [{name: a, chip: sht3x, mux: {address: 0x70, channel: 0, zzzzzz: 1}, zzzzzz: 1}]
tls: {cert: /a, key: /b, zzzzzz: 1}
history: {size: 16MiB, zzzzzz: 1}
limits: {queues: 16MiB, zzzzzz: 1}
estop: {pin: GPIO22, zzzzzz: 1}
home_assistant: {broker: mqtt://a, zzzzzz: 1}
uplink: {budget: 1GB/month, zzzzzz: 1}
motors: [{name: a, kind: on_off, pin: GPIO17, zzzzzz: 1}]
alarms: [{name: a, condition: a.temperature > 3, zzzzzz: 1}]
webhook: {url: "http://a", secret_file: /a, zzzzzz: 1}
zzzzzz: 1
`)
	lists := regexp.MustCompile(`\(known: ([^)]+)\)`).FindAllStringSubmatch(err.Error(), -1)
	if len(lists) != 12 {
		t.Fatalf("%v: want twelve lists of keys", err)
	}
	text := uncomment(reference(t))
	for _, list := range lists {
		for _, key := range strings.Split(list[1], ", ") {
			if !regexp.MustCompile(`(?m)^ *(- )?` + key + `:`).MatchString(text) {
				t.Errorf("%s does not show the key %s", referenceFile, key)
			}
		}
	}
}
