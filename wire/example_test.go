package wire_test

import (
	"fmt"
	"time"

	"sensorgateway/wire"
)

// A message of readings.v2 is one or more records.
func ExampleParseRecords() {
	message := []byte{
		0x00, 0x00, // sensor number, named in hello
		0x01,                   // flags: simulated
		0x00,                   // fault: none
		0x00, 0x00, 0x00, 0x07, // sequence number
		0x41, 0xAC, 0x00, 0x00, // 21.5
		0x42, 0x35, 0x00, 0x00, // 45.25
		0x00, 0x00, 0x01, 0x8E, 0xAF, 0xC1, 0x84, 0x35, // Unix milliseconds
	}
	records, err := wire.ParseRecords(message)
	if err != nil {
		fmt.Println(err)
		return
	}
	sensor := wire.SensorInfo{Name: "indoor"} // of hello
	for _, r := range records {
		fmt.Println(sensor.Name, r.Seq, time.UnixMilli(r.UnixMilli).UTC().Format(time.RFC3339Nano))
		for i, q := range sensor.Quantities() {
			fmt.Println(q.Name, q.Text(r.Values[i]))
		}
	}
	// Output:
	// indoor 7 2024-04-05T19:34:38.901Z
	// temperature 21.50 °C
	// humidity 45.2 %
}

// A failed measurement is a reading too: its values are NaNs that carry the cause.
func ExampleRecord_Append() {
	good := wire.Record{Sensor: 1, Seq: 7, Reading: wire.Reading{Values: [2]float32{42.5, 68.25}, UnixMilli: 1712345678901}}
	failed := wire.Record{Sensor: 1, Seq: 8, Fault: wire.NoAck, Reading: wire.Failed(wire.NoAck, 1712345679001)}
	fmt.Printf("%x\n", good.Append(nil))
	fmt.Printf("%x\n", failed.Append(nil))
	// Output:
	// 0001000000000007422a0000428880000000018eafc18435
	// 00010001000000087fc000017fc000010000018eafc18499
}

// The sensor's quantities decide how its readings look in JSON.
func ExampleAppendSensorJSON() {
	r := wire.Record{Seq: 7, Reading: wire.Reading{Values: [2]float32{612, wire.NotMeasured()}, UnixMilli: 1712345678901}}
	air := wire.SensorInfo{Name: "air", Values: []wire.Quantity{wire.CO2}}
	fmt.Printf("%s\n", wire.AppendSensorJSON(nil, &air, r))
	// Output:
	// {"type":"sensor","payload":{"sensor":"air","values":{"co2":612},"units":{"co2":"ppm"},"ts":1712345678.901,"seq":7}}
}

func ExampleParseCommand() {
	request, err := wire.ParseRequest([]byte(`{"type":"command","id":"a1","payload":{"action":"start","target":"motor_1","speed":0.5,"run_ms":5000}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := wire.ParseCommand(request.Payload)
	fmt.Println(c.Action, c.Target, *c.Speed, *c.RunMS, err)

	_, err = wire.ParseCommand([]byte(`{"action":"start","target":"motor_1","speed":7}`))
	fmt.Println(err.(*wire.Error).Code, err)
	// Output:
	// start motor_1 0.5 5000 <nil>
	// 422 speed must be a number from 0 to 1
}
