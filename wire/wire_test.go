package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// goldenRecord is a record in bytes, as Python's struct.pack("!HBBIffq", …) makes
// them, and in meaning. testdata/records.json has them for all who decode: the
// page's JavaScript reads it too.
type goldenRecord struct {
	name string
	hex  string
	r    Record
}

func golden(t testing.TB) (all []goldenRecord) {
	t.Helper()
	data, err := os.ReadFile("testdata/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name, Hex             string
		Sensor                uint16
		Flags                 Flags
		Fault                 Fault
		Seq                   uint32
		Temperature, Humidity *float32 // null if failed
		Time                  int64
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, g := range rows {
		reading := Failed(g.Fault, g.Time)
		if g.Temperature != nil {
			reading = Reading{[2]float32{*g.Temperature, *g.Humidity}, g.Time}
		}
		all = append(all, goldenRecord{g.Name, g.Hex, Record{g.Sensor, g.Flags, g.Fault, g.Seq, reading}})
	}
	return all
}

func TestGoldenBytes(t *testing.T) {
	var all []byte
	for _, tt := range golden(t) {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(tt.hex)
			if got := tt.r.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("Append: %x, want %x", got, want)
			}
			if got := tt.r.Reading.Append([]byte{0xAA}); !bytes.Equal(got[1:], want[8:]) || got[0] != 0xAA {
				t.Errorf("Reading.Append: %x, want aa%x", got, want[8:])
			}
			back, err := ParseRecord(want)
			if err != nil || !bytes.Equal(back.Append(nil), want) {
				t.Errorf("ParseRecord: %+v, %v", back, err)
			}
			if back.Reading.Fault() != tt.r.Fault || back.Fault != tt.r.Fault {
				t.Errorf("the reading says %v, the record %v, want %v", back.Reading.Fault(), back.Fault, tt.r.Fault)
			}
			all = append(all, want...)
		})
	}
	records, err := ParseRecords(all)
	if err != nil || len(records) != len(golden(t)) {
		t.Fatalf("ParseRecords: %d, %v", len(records), err)
	}
}

func TestParseRefusesOtherSizes(t *testing.T) {
	b := make([]byte, 64)
	for n := range b {
		if _, err := ParseReading(b[:n]); (err == nil) != (n == ReadingSize) {
			t.Errorf("ParseReading of %d bytes: %v", n, err)
		}
		if _, err := ParseRecord(b[:n]); (err == nil) != (n == RecordSize) {
			t.Errorf("ParseRecord of %d bytes: %v", n, err)
		}
		if _, err := ParseRecords(b[:n]); (err == nil) != (n == 24 || n == 48) {
			t.Errorf("ParseRecords of %d bytes: %v", n, err)
		}
	}
}

func FuzzRecords(f *testing.F) {
	for _, tt := range golden(f) {
		f.Add(unhex(tt.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := ParseRecords(b)
		if (err == nil) != (len(b) > 0 && len(b)%RecordSize == 0) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		var back []byte
		for _, r := range records {
			back = r.Append(back)
			if r.Reading.Fault() == Good && r.Values[0] != r.Values[0] {
				t.Errorf("a NaN is called good: %x", b)
			}
			for _, s := range []*SensorInfo{indoor, roof, pipe} {
				if text := AppendSensorJSON(nil, s, r); !json.Valid(text) {
					t.Errorf("invalid JSON: %s", text)
				}
			}
		}
		if err == nil && !bytes.Equal(back, b) {
			t.Errorf("%x came back as %x", b, back)
		}
	})
}

func TestFaultOf(t *testing.T) {
	errno := errors.New("remote I/O error")
	for _, tt := range []struct {
		err  error
		want Fault
	}{
		{nil, Good},
		{errno, Other},
		{Good, Other}, // an error is never good
		{NoAck, NoAck},
		{fmt.Errorf("sht3x 0x44 on bus 1: read: %w", Checksum), Checksum},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w: %w", errno, Timeout)), Timeout},
		{errors.Join(errno, BusDown), BusDown},
		{errors.Join(errno, errno), Other},
	} {
		if got := FaultOf(tt.err); got != tt.want {
			t.Errorf("FaultOf(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
	wrapped := fmt.Errorf("a: %w", fmt.Errorf("b: %w", NoAck))
	if n := testing.AllocsPerRun(100, func() { FaultOf(wrapped) }); n != 0 {
		t.Errorf("FaultOf allocates %v times", n)
	}
}

func TestSensorJSON(t *testing.T) {
	for _, tt := range []struct {
		r    Record
		want string
	}{
		{Record{Seq: 7, Reading: Reading{[2]float32{42.5, 68.3}, 1712345678901}},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":42.5,"unit":"C","humidity":68.3,"ts":1712345678.901,"seq":7}}`},
		{Record{Seq: 8, Reading: Reading{[2]float32{-0.25, 0}, 1712345679001}},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":-0.25,"unit":"C","humidity":0,"ts":1712345679.001,"seq":8}}`},
		{Record{Seq: 9, Fault: NoAck, Reading: Failed(NoAck, 50)},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":null,"unit":"C","humidity":null,"fault":"no_ack","ts":0.050,"seq":9}}`},
		{Record{Seq: 10, Fault: 77, Reading: Failed(77, -1)},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":null,"unit":"C","humidity":null,"fault":"fault_77","ts":-0.001,"seq":10}}`},
		{Record{Seq: 11, Flags: Simulated | ClockUnsynced | Historical, Reading: Reading{[2]float32{1, 2}, 3}},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":1,"unit":"C","humidity":2,"ts":0.003,"seq":11,"historical":true}}`},
		{Record{Seq: 12, Flags: Conflated, Reading: Reading{[2]float32{1, 2}, 3}},
			`{"type":"sensor","payload":{"sensor":"outdoor","temp":1,"unit":"C","humidity":2,"ts":0.003,"seq":12,"conflated":true}}`},
	} {
		got := AppendSensorJSON(nil, &SensorInfo{Name: "outdoor"}, tt.r)
		if string(got) != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if !json.Valid(got) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	b, r := make([]byte, 0, 512), Record{Reading: Reading{[2]float32{21.5, 40.25}, 1712345678901}}
	if n := testing.AllocsPerRun(100, func() { b = AppendSensorJSON(r.Append(b[:0]), indoor, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecordAppend(b *testing.B) {
	buf, r := make([]byte, 0, RecordSize), Record{Sensor: 1, Seq: 7, Reading: Reading{[2]float32{42.25, 68.5}, 1712345676325}}
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
}

// A motor as it is listed: clients that nobody here wrote read these bytes.
func TestGoldenMotorState(t *testing.T) {
	for _, tt := range []struct {
		s    MotorState
		want string
	}{
		{MotorState{Target: "motor_1", Direction: Forward, Reason: "boot", TS: 1712345678.901},
			`{"target":"motor_1","running":false,"speed":0,"direction":"forward","reason":"boot","by":"","ts":1712345678.901,"reversible":false,"proportional":false}`},
		{MotorState{"gate", true, 0.5, Reverse, "command", "anna", 1.5, "anna", nil, true, "pin 4", true, true,
			[]Interlock{{"indoor.temperature <= 60", true}, {"indoor.age < 1s", false}}, nil},
			`{"target":"gate","running":true,"speed":0.5,"direction":"reverse","reason":"command","by":"anna","ts":1.5,"holder":"anna","latched":true,"fault":"pin 4",` +
				`"reversible":true,"proportional":true,"interlocks":[{"condition":"indoor.temperature <= 60","holds":true},{"condition":"indoor.age < 1s","holds":false}]}`},
		{MotorState{Target: "motor_1", Direction: Forward, Reason: "boot", TS: 1.5, Control: &Control{By: "anna", Since: 1712345678.901}},
			`{"target":"motor_1","running":false,"speed":0,"direction":"forward","reason":"boot","by":"","ts":1.5,"control":{"by":"anna","since":1712345678.901},"reversible":false,"proportional":false}`},
		{MotorState{Target: "motor_1", Direction: Forward, Reason: "boot", TS: 1.5, Control: &Control{"anna", 2.5, true}, ControlRequest: &ControlRequest{"ben", 12.5}},
			`{"target":"motor_1","running":false,"speed":0,"direction":"forward","reason":"boot","by":"","ts":1.5,"control":{"by":"anna","since":2.5,"allow_takeover":true},` +
				`"reversible":false,"proportional":false,"control_request":{"by":"ben","until":12.5}}`},
	} {
		got := JSON(tt.s)
		if string(got) != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		var back MotorState
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, tt.s) {
			t.Errorf("%s came back as %+v, %v", got, back, err)
		}
	}
	var old MotorState // of a server that does not know them
	if err := json.Unmarshal([]byte(`{"target":"motor_1"}`), &old); err != nil || old.Reversible || old.Proportional || old.Interlocks != nil {
		t.Errorf("%+v, %v", old, err)
	}
}

// What becomes of the control of a motor.
func TestGoldenControlEvents(t *testing.T) {
	for _, tt := range []struct {
		e    Event
		want string
	}{
		{Event{Kind: EventControl, Action: RequestControl, Target: "motor_1", By: "ben", Holder: "anna", TimeoutMS: 10000, TS: 1.5, Clients: []string{"1", "2"}},
			`{"kind":"control","by":"ben","action":"request","target":"motor_1","holder":"anna","timeout_ms":10000,"ts":1.5}`},
		{Event{Kind: EventControl, Action: GrantControl, Target: "motor_1", By: "anna", From: "anna", To: "ben", Holder: "ben", Reason: ReasonCommand, TS: 1.5},
			`{"kind":"control","by":"anna","reason":"command","action":"grant","target":"motor_1","holder":"ben","from":"anna","to":"ben","ts":1.5}`},
		{Event{Kind: EventControl, Action: DenyControl, Target: "motor_1", To: "ben", Holder: "anna", Reason: ReasonTimeout, TS: 1.5},
			`{"kind":"control","reason":"timeout","action":"deny","target":"motor_1","holder":"anna","to":"ben","ts":1.5}`},
		{Event{Kind: EventControl, Action: ReleaseControl, Target: "motor_1", By: "anna", From: "anna", Reason: ReasonDisconnect, TS: 1.5},
			`{"kind":"control","by":"anna","reason":"disconnect","action":"release","target":"motor_1","from":"anna","ts":1.5}`},
	} {
		if got := string(JSON(tt.e)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
