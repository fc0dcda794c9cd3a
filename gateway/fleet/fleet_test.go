package fleet

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/history/codec"
	"sensorgateway/wire"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares bytes with those of a file: a published format must not change.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if strings.HasSuffix(name, ".hex") {
		got = []byte(hex.Dump(got))
	}
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "pi-7": true, "a_b-c9": true, strings.Repeat("a", 32): true,
		"": false, "all": false, "7pi": false, "-a": false, "A": false, "a.b": false, "a/b": false, "a+": false, "a#": false, "ä": false,
		"a ": false, "a\x00": false, strings.Repeat("a", 33): false, strings.Repeat("a", 1<<16): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%.40q) = %v", name, err)
		} else if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestTopics(t *testing.T) {
	pi := Gateway{"lab", "pi-7"}
	for topic, want := range map[string]Topic{
		pi.Topic(Up):                       {pi, Up, ""},
		pi.Topic(News):                     {pi, News, ""},
		pi.Topic(Here):                     {pi, Here, ""},
		pi.Topic(Live):                     {pi, Live, ""},
		pi.Topic(Cmd):                      {pi, Cmd, ""},
		pi.Topic(Ask):                      {pi, Ask, ""},
		pi.Topic(Watch):                    {pi, Watch, ""},
		pi.AnswerTopic("hub-a"):            {pi, Answer, "hub-a"},
		"gw/v1/lab/all/ask":                {Gateway{"lab", All}, Ask, ""},
		"gw/v1/lab/pi-7/cmd":               {pi, Cmd, ""},
		"gw/v1/lab/pi-7/answer/" + "hub-a": {pi, Answer, "hub-a"},
	} {
		if got, err := ParseTopic(topic); err != nil || got != want {
			t.Errorf("ParseTopic(%q) = %+v, %v", topic, got, err)
		}
	}
	for _, topic := range []string{
		"", "gw/v1", "gw/v1/lab/pi-7", "gw/v1/lab/pi-7/", "gw/v2/lab/pi-7/up", "gw/v1/lab/pi-7/up/x", "gw/v1/lab/pi-7/answer", "gw/v1/lab/pi-7/answer/",
		"gw/v1/lab/pi-7/answer/all", "gw/v1/lab/all/cmd", "gw/v1/lab/all/up", "gw/v1/all/pi-7/up", "gw/v1/lab/+/up", "gw/v1/lab/pi-7/nonsense", "/gw/v1/lab/pi-7/up",
		"gw/v1/lab//up", "gw/v1/lab/pi.7/up",
	} {
		if got, err := ParseTopic(topic); err == nil {
			t.Errorf("ParseTopic(%q) = %+v", topic, got)
		}
	}
}

func FuzzTopic(f *testing.F) {
	f.Add("gw/v1/lab/pi-7/up")
	f.Add("gw/v1/lab/all/ask")
	f.Add("gw/v1/lab/pi-7/answer/hub-a")
	f.Fuzz(func(t *testing.T, topic string) {
		got, err := ParseTopic(topic)
		if err != nil {
			return
		}
		again := got.Topic(got.Kind)
		if got.Kind == Answer {
			again = got.AnswerTopic(got.Hub)
		}
		if again != topic {
			t.Errorf("%q is made of the parts of %q", again, topic)
		}
	})
}

func TestPresence(t *testing.T) {
	for text, want := range map[string]Presence{"online 17": {true, 17}, "offline 0": {false, 0}, "online 18446744073709551615": {true, 1<<64 - 1}} {
		if got, err := ParsePresence([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "online", "online ", "online 01", "online -1", "Online 1", "online 1 ", "away 1", "online 18446744073709551616", "online 1" + strings.Repeat("0", 1<<16)} {
		if got, err := ParsePresence([]byte(text)); err == nil {
			t.Errorf("%.40q is %+v", text, got)
		}
	}
}

func FuzzPresence(f *testing.F) {
	f.Add([]byte("online 17"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePresence(b); err == nil && p.String() != string(b) {
			t.Errorf("%q became %q", b, p)
		}
	})
}

// block returns a block of n records from first on.
func block(sensor, epoch string, first uint32, n int) []byte {
	var p codec.Packer
	var s codec.Summary
	records := make([]wire.Record, n)
	for i := range records {
		records[i] = wire.Record{Seq: first + uint32(i), Reading: wire.Reading{Values: [2]float32{20 + float32(i)/8, 50}, UnixMilli: 1_700_000_000_000 + 100*int64(i)}}
		s.Add(records[i])
	}
	return p.AppendBlock(nil, codec.Origin{Sensor: sensor, Epoch: epoch, Boot: "boot", Offset: 1_699_999_999_000}, first-1, s, records)
}

// upValues change with a new calibration.
var upValues = []Values{
	{9, wire.SensorInfo{Name: "indoor", Values: []wire.Quantity{wire.Temperature, wire.Humidity}}},
	{20, wire.SensorInfo{Name: "indoor", Median: 3, Values: []wire.Quantity{wire.Temperature, {Name: "ph", Unit: "", Decimals: 2}}, Calibration: map[string]wire.Calibration{"temperature": {Scale: 1.5, Offset: -0.4}}}},
}

func up(blocks ...[]byte) []byte {
	return append(AppendUpHeader(nil, upValues), bytes.Join(blocks, nil)...)
}

func TestUp(t *testing.T) {
	one, two := block("indoor", "e1", 10, 4), block("indoor", "e1", 20, 3)
	payload := up(one, two)
	golden(t, "up.hex", payload)
	got, err := ParseUp(payload)
	if err != nil {
		t.Fatal(err)
	}
	want := []Blocks{{Sensor: "indoor", Epoch: "e1", Values: upValues, First: 10, Last: 22, Records: 7, Blocks: [][]byte{one, two}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	across := up(block("indoor", "e1", 1<<32-2, 4)) // numbers wrap
	if got, err := ParseUp(across); err != nil || got[0].First != 1<<32-2 || got[0].Last != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "header only": up(), "another sensor": up(one, block("outdoor", "e1", 20, 3)), "another epoch": up(one, block("indoor", "e2", 20, 3)),
		"backward": up(two, one), "twice": up(one, one), "cut": payload[:len(payload)-1], "more": append(bytes.Clone(payload), 0),
		"control characters": append(values(wire.Quantity{Name: "a\nb"}), one...), "no name": append(values(wire.Quantity{Unit: "V"}), one...),
		"values not in order": append(AppendUpHeader(nil, []Values{upValues[1], upValues[0]}), one...),
		"scale below 0":       append(AppendUpHeader(nil, []Values{{0, wire.SensorInfo{Calibration: map[string]wire.Calibration{"humidity": {Scale: -1}}}}}), one...),
		"too long":            append(bytes.Clone(payload), make([]byte, MaxUp)...),
	} {
		if got, err := ParseUp(bad); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := ParseUp(append(AppendUpHeader(nil, nil), one...)); err != nil || got[0].Values != nil {
		t.Errorf("values that are not known: %+v, %v", got, err)
	}
	for i := range payload { // each byte counts
		bad := bytes.Clone(payload)
		bad[i] ^= 1
		if got, err := ParseUp(bad); err == nil && reflect.DeepEqual(got, want) {
			t.Errorf("byte %d may be wrong", i)
		}
	}
}

// Parts of several sensors, epochs and kinds are one payload.
func TestUpOfSeveral(t *testing.T) {
	one, two, three := block("indoor", "e1", 10, 4), block("outdoor", "e1", 20, 3), block("indoor", "e2", 1, 2)
	b, _, err := codec.ParseBlock(block("roof", "e1", 5, 4))
	if err != nil {
		t.Fatal(err)
	}
	heads := codec.AppendHeads(nil, []codec.Head{{Origin: b.Origin, Summary: b.Summary}})
	none := AppendUpHeader(nil, nil)
	payload := bytes.Join([][]byte{none, one, none, two, none, heads, none, three}, nil)
	golden(t, "up-several.hex", payload)
	want := []Blocks{
		{Sensor: "indoor", Epoch: "e1", First: 10, Last: 13, Records: 4, Blocks: [][]byte{one}},
		{Sensor: "outdoor", Epoch: "e1", First: 20, Last: 22, Records: 3, Blocks: [][]byte{two}},
		{Sensor: "roof", Epoch: "e1", First: 5, Last: 8, Heads: heads},
		{Sensor: "indoor", Epoch: "e2", First: 1, Last: 2, Records: 2, Blocks: [][]byte{three}},
	}
	if got, err := ParseUp(payload); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for name, bad := range map[string][]byte{"a header behind": append(bytes.Clone(payload), none...), "cut": payload[:len(payload)-1], "heads behind a block": bytes.Join([][]byte{none, one, heads}, nil)} {
		if got, err := ParseUp(bad); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// values returns the beginning of a payload of a sensor of one quantity.
func values(q wire.Quantity) []byte {
	return AppendUpHeader(nil, []Values{{0, wire.SensorInfo{Values: []wire.Quantity{q}}}})
}

// Heads of blocks are a payload too, without blocks.
func TestUpOfHeads(t *testing.T) {
	head := func(first uint32) codec.Head {
		b, _, err := codec.ParseBlock(block("indoor", "e1", first, 4))
		if err != nil {
			t.Fatal(err)
		}
		return codec.Head{Origin: b.Origin, Summary: b.Summary}
	}
	raw := codec.AppendHeads(nil, []codec.Head{head(10), head(20)})
	payload := append(AppendUpHeader(nil, upValues), raw...)
	golden(t, "up-heads.hex", payload)
	got, err := ParseUp(payload)
	if want := []Blocks{{Sensor: "indoor", Epoch: "e1", Values: upValues, First: 10, Last: 23, Heads: raw}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for name, bad := range map[string][]byte{
		"cut": payload[:len(payload)-1], "more": append(bytes.Clone(payload), 0), "a block behind": append(bytes.Clone(payload), block("indoor", "e1", 40, 4)...),
		"behind a block": append(up(block("indoor", "e1", 1, 4)), raw...),
	} {
		if got, err := ParseUp(bad); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzUp(f *testing.F) {
	b, _, err := codec.ParseBlock(block("indoor", "e1", 10, 4))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(AppendUpHeader(nil, upValues), codec.AppendHeads(nil, []codec.Head{{Origin: b.Origin, Summary: b.Summary}})...))
	f.Add(up(block("indoor", "e1", 10, 4), block("indoor", "e1", 20, 3)))
	f.Add(append(up(block("indoor", "e1", 10, 4)), append(AppendUpHeader(nil, nil), block("outdoor", "e1", 20, 3)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := ParseUp(b)
		if err != nil {
			return
		}
		var made []byte
		for _, u := range parts {
			made = append(AppendUpHeader(made, u.Values), u.Heads...)
			made = append(made, bytes.Join(u.Blocks, nil)...)
		}
		again, err := ParseUp(made)
		if err != nil || !reflect.DeepEqual(again, parts) {
			t.Errorf("%+v became %+v, %v", parts, again, err)
		}
	})
}

func TestNews(t *testing.T) {
	h := Hello{Hello: wire.Hello{Server: "gateway", Name: "Lab", Version: "1.0", Epoch: "e1", Time: 1_700_000_000_000, ClockSynced: true,
		Sensors: []wire.SensorInfo{{Name: "indoor", Model: "SHT31", IntervalMS: 100, NextSeq: 5, Values: []wire.Quantity{wire.Temperature, wire.Humidity}}}, Motors: []wire.MotorState{}},
		Nonce: "6b1f", Connection: 17, UptimeMS: 4200, Alarms: []wire.Alarm{}}
	hello := wire.JSON(wire.Envelope{Type: wire.TypeHello, Payload: h})
	golden(t, "hello.json", hello)
	if n, err := ParseNews(hello); err != nil || !reflect.DeepEqual(*n.Hello, h) {
		t.Errorf("%+v, %v, want %+v", n.Hello, err, h)
	}
	state := wire.MotorState{Target: "fan", Running: true, Speed: 0.5, Direction: wire.Forward, Reason: wire.ReasonCommand, By: "ahmet", TS: 1_700_000_000.5}
	b := wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: state})
	golden(t, "state.json", b)
	if n, err := ParseNews(b); err != nil || !reflect.DeepEqual(*n.State, state) {
		t.Errorf("%+v, %v", n.State, err)
	}
	b = wire.JSON(wire.Envelope{Type: TypeAudit, Payload: AuditHead{Seq: 9, Hash: "00ff"}})
	golden(t, "audit.json", b)
	if n, err := ParseNews(b); err != nil || *n.Audit != (AuditHead{9, "00ff"}) {
		t.Errorf("%+v, %v", n.Audit, err)
	}
	b = wire.JSON(wire.Envelope{Type: wire.TypeEvent, Payload: wire.Event{Kind: wire.EventEStop, By: "ahmet", TS: 1}})
	if n, err := ParseNews(b); err != nil || n.Event.Kind != wire.EventEStop {
		t.Errorf("%+v, %v", n.Event, err)
	}
	if n, err := ParseNews([]byte(`{"type":"tomorrow","payload":{}}`)); err != nil || n != (Notice{}) {
		t.Errorf("a type of tomorrow: %+v, %v", n, err)
	}
	for _, bad := range []string{"", "{}", `{"type":"hello"}`, `{"type":"hello","payload":null}`, `{"type":"state","payload":[]}`, `{"type":"event","payload":{"ts":"x"}}`, `{"type":"hello","payload":{},"payload":{}}`} {
		if n, err := ParseNews([]byte(bad)); err == nil || n != (Notice{}) {
			t.Errorf("%s: %+v, %v", bad, n, err)
		}
	}
}

func FuzzNews(f *testing.F) {
	f.Add([]byte(`{"type":"hello","payload":{"nonce":"x"}}`))
	f.Add([]byte(`{"type":"state","payload":{"target":"fan"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNews(b); err != nil && n != (Notice{}) {
			t.Errorf("%+v with %v", n, err)
		}
	})
}

func TestKeys(t *testing.T) {
	pub := key(1).Public()
	text := "# hubs\n\n" + KeyLine(publicOf(1), "hub-a") + KeyLine(publicOf(2), "")
	golden(t, "keys.txt", []byte(text))
	keys, err := ParseKeys([]byte(text))
	if err != nil || len(keys) != 2 || !keys[0].Equal(pub) {
		t.Errorf("%v, %v", keys, err)
	}
	for _, bad := range []string{"", "# nothing\n", "hub-a\n", "AAAA hub\n", KeyLine(publicOf(1), "a") + "x\n"} {
		if keys, err := ParseKeys([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, keys)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(KeyLine(publicOf(1), "hub-a")))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := ParseKeys(b)
		for _, k := range keys {
			if len(k) != 32 {
				t.Errorf("a key of %d bytes", len(k))
			}
		}
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

// Until uses the gateway's clock if that is synchronised, else its uptime.
func TestUntil(t *testing.T) {
	received := time.UnixMilli(1_700_000_000_000)
	now := received.Add(10 * time.Second)
	var o Order
	h := &Hello{Hello: wire.Hello{ClockSynced: true}, UptimeMS: 500}
	if o.Until(h, received, now, CmdExpiry); o.Expires != now.UnixMilli()+5000 || o.UptimeMS != 0 {
		t.Errorf("%+v", o)
	}
	h.ClockSynced = false
	if o.Until(h, received, now, CmdExpiry); o.Expires != 0 || o.UptimeMS != 500+10_000+5000 {
		t.Errorf("%+v", o)
	}
}
