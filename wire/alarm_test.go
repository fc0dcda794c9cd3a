package wire

import (
	"encoding/json"
	"reflect"
	"testing"
)

// An alarm and its events as they travel: clients that nobody here wrote read these bytes.
func TestGoldenAlarms(t *testing.T) {
	hot := Alarm{
		Name: "hot", State: AlarmRaised, Severity: SeverityCritical, Condition: "indoor.temperature > 35 for 30s", Sensor: "indoor",
		Value: new(float32(35.1)), Since: 1712345678.901,
	}
	seen := hot
	seen.State, seen.Acknowledged = AlarmAcknowledged, &Acknowledgement{"anna", 1712345680}
	cold := seen
	cold.State, cold.Value, cold.Cleared = AlarmCleared, new(float32(0)), 1712345690.5
	fault := Alarm{Name: "motor_fault:fan", State: AlarmRaised, Severity: SeverityCritical, Motor: "fan", Reason: "GPIO17: no such line", Since: 1.5}
	const condition = `"condition":"indoor.temperature > 35 for 30s",`
	for _, tt := range []struct {
		a            Alarm
		alarm, event string
	}{
		{hot, `{"name":"hot","state":"raised","severity":"critical",` + condition + `"sensor":"indoor","value":35.1,"since":1712345678.901}`,
			`{"kind":"alarm","sensor":"indoor","alarm":"hot","state":"raised","severity":"critical",` + condition + `"value":35.1,"since":1712345678.901,"ts":1712345678.901}`},
		{seen, `{"name":"hot","state":"acknowledged","severity":"critical",` + condition + `"sensor":"indoor","value":35.1,"since":1712345678.901,"acknowledged":{"by":"anna","ts":1712345680}}`,
			`{"kind":"alarm","sensor":"indoor","by":"anna","alarm":"hot","state":"acknowledged","severity":"critical",` + condition + `"value":35.1,"since":1712345678.901,"ts":1712345680}`},
		{cold, `{"name":"hot","state":"cleared","severity":"critical",` + condition + `"sensor":"indoor","value":0,"since":1712345678.901,"acknowledged":{"by":"anna","ts":1712345680},"cleared":1712345690.5}`,
			`{"kind":"alarm","sensor":"indoor","alarm":"hot","state":"cleared","severity":"critical",` + condition + `"value":0,"since":1712345678.901,"ts":1712345690.5}`},
		{fault, `{"name":"motor_fault:fan","state":"raised","severity":"critical","motor":"fan","reason":"GPIO17: no such line","since":1.5}`,
			`{"kind":"alarm","reason":"GPIO17: no such line","alarm":"motor_fault:fan","state":"raised","severity":"critical","motor":"fan","since":1.5,"ts":1.5}`},
	} {
		if got := string(JSON(tt.a)); got != tt.alarm {
			t.Errorf("got  %s\nwant %s", got, tt.alarm)
		}
		if got := string(JSON(tt.a.Event())); got != tt.event {
			t.Errorf("got  %s\nwant %s", got, tt.event)
		}
		var back Alarm
		if err := json.Unmarshal([]byte(tt.alarm), &back); err != nil || !reflect.DeepEqual(back, tt.a) || back.Raised() != (tt.a.State != AlarmCleared) {
			t.Errorf("%s came back as %+v, %v", tt.alarm, back, err)
		}
	}
}
