package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

var hot = wire.Alarm{
	Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical, Condition: "indoor.temperature > 35 for 30s", Sensor: "indoor",
	Value: new(float32(35.25)), Since: 1712345678,
}

// clock is how the terminal shows Unix seconds.
func clock(seconds int64) string { return time.Unix(seconds, 0).Format(time.DateTime) }

func TestDescribeAlarm(t *testing.T) {
	seen, gone := hot, wire.Alarm{Name: "sensor_lost:out\x1b[2J", State: wire.AlarmCleared, Severity: wire.SeverityWarning, Reason: "no_ack", Since: 10, Cleared: 20}
	seen.State, seen.Acknowledged = wire.AlarmAcknowledged, &wire.Acknowledgement{By: "anna", TS: 1712345680}
	for _, tt := range []struct {
		a    wire.Alarm
		want string
	}{
		{hot, "hot: critical, raised " + clock(1712345678) + " (indoor.temperature > 35 for 30s, at 35.25)"},
		{seen, "hot: critical, raised " + clock(1712345678) + " (indoor.temperature > 35 for 30s, at 35.25), acknowledged by anna " + clock(1712345680)},
		{gone, "sensor_lost:out�[2J: warning, raised " + clock(10) + " (no_ack), cleared " + clock(20)},
		{wire.Alarm{Name: "clock_unsynced", State: wire.AlarmRaised, Severity: wire.SeverityInfo, Since: 10}, "clock_unsynced: info, raised " + clock(10)},
	} {
		if got := describeAlarm(tt.a); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestAlarmsUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"pi", "acknowledge"}, {"pi", "acknowledge", ""}, {"pi", "clear", "hot"}, {"pi", "ack", "hot", "cold"}, {"ftp://pi"}, {"pi", "ack", "hot", "--recent"},
	} {
		if err := startClient(t, Alarms, nil, args...).end(); !isUsage(err) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
	}
}

// alarmServer answers what is asked for with a status and a text.
func alarmServer(t *testing.T, status int, text string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/gateways/a/api/v1/alarms" || r.Header.Get("X-Who") != "anna" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/gateways/a/sensors/indoor"
}

func TestAlarmsList(t *testing.T) {
	list := fmt.Sprintf(`{"alarms":[%s],"recent":[{"name":"cold","state":"cleared","severity":"info","since":1,"cleared":2}]}`, wire.JSON(hot))
	c := startClient(t, Alarms, nil, alarmServer(t, http.StatusOK, list), "--header", "X-Who: anna")
	if err := c.end(); err != nil || c.stdout.String() != string(wire.JSON(hot))+"\n" {
		t.Errorf("%v: %s", err, c.stdout)
	}
	c = startClient(t, Alarms, nil, alarmServer(t, http.StatusOK, list), "--header", "X-Who: anna", "--recent")
	if err := c.end(); err != nil || strings.Count(c.stdout.String(), "\n") != 2 || !strings.Contains(c.stdout.String(), `"name":"cold","state":"cleared"`) {
		t.Errorf("%v: %s", err, c.stdout)
	}
	for _, tt := range []struct {
		status     int
		text, want string
	}{
		{http.StatusUnauthorized, `{"type":"error","payload":{"code":401,"message":"show a \u001btoken"}}`, "401 Unauthorized: show a �token"},
		{http.StatusFound, "", "302 Found"}, // not followed
		{http.StatusOK, "<html>", "not that of a gateway"},
	} {
		err := startClient(t, Alarms, nil, alarmServer(t, tt.status, tt.text), "--header", "X-Who: anna").end()
		if err == nil || isUsage(err) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	for _, refused := range []bool{false, true} {
		s := fakeGateway(t, false, func(p *fakePeer) {
			p.hello()
			e := p.envelope()
			if string(e.Payload) != `{"action":"acknowledge","target":"hot"}` {
				t.Errorf("%s", e.Payload)
			}
			if refused {
				p.say(wire.Envelope{Type: "error", ID: e.ID, Payload: wire.Error{Code: 403, Message: "vera may not"}})
			} else {
				p.say(wire.Envelope{Type: "ack", ID: e.ID, Payload: wire.Ack{Action: "acknowledge", Target: "hot", Status: "ok", Alarm: &hot}})
			}
			p.wait()
		})
		c := startClient(t, Alarms, nil, s.URL, "ack", "hot")
		err := c.end()
		var said *wire.Error
		if refused != errors.As(err, &said) || !refused && (err != nil || c.stdout.String() != string(wire.JSON(hot))+"\n") {
			t.Errorf("refused %t: %v, %s", refused, err, c.stdout)
		}
	}
}

// A change of an alarm is a line as the gateway sent it; other events are none.
func TestWatchPipedAlarms(t *testing.T) {
	s := fakeGateway(t, false, func(p *fakePeer) {
		p.hello()
		if got := p.next(); !strings.Contains(got, `"topic":"events"`) {
			t.Errorf("subscribed to %s", got)
		}
		p.say(wire.Envelope{Type: "event", Payload: wire.Event{Kind: wire.EventSensorLost, Sensor: "indoor"}})
		p.say(wire.Envelope{Type: "stats", Payload: map[string]int{"produced": 1}})
		p.say(wire.Envelope{Type: "event", Payload: hot.Event()})
		p.records(wire.Record{Seq: 1, Reading: wire.Reading{Values: [2]float32{1, 2}, UnixMilli: 1000}})
		p.wait()
	})
	c := startClient(t, Watch, nil, s.URL)
	c.stdout.await(t, `"seq":1`)
	want := `{"kind":"alarm","sensor":"indoor","alarm":"hot","state":"raised","severity":"critical","condition":"indoor.temperature \u003e 35 for 30s","value":35.25,"since":1712345678,"ts":1712345678}
{"sensor":"indoor","temp":1,"humidity":2,"ts":1,"seq":1,"fault":null,"flags":0}
`
	if got := c.stdout.String(); strings.ReplaceAll(got, ">", `\u003e`) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// The table has the alarms that are raised: when the events are subscribed to, and
// after each change.
func TestTableOfAlarms(t *testing.T) {
	var asked atomic.Int32
	shown := make(chan struct{})
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV2}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			list := alarmList{Alarms: []wire.Alarm{hot}}
			if asked.Add(1) > 1 {
				list.Alarms = nil
				for i := range shownAlarms + 2 {
					list.Alarms = append(list.Alarms, wire.Alarm{Name: fmt.Sprint("a", i), State: wire.AlarmRaised, Severity: wire.SeverityWarning, Since: 1712345678})
				}
			}
			_, _ = w.Write(wire.JSON(list))
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.Close()
		_ = ws.WriteJSON(wire.Envelope{Type: "hello", Payload: wire.Hello{Server: "gateway", Epoch: "e"}})
		_, _, _ = ws.ReadMessage()
		_ = ws.WriteJSON(wire.Envelope{Type: "subscribed", Payload: map[string]string{"topic": "events"}})
		select {
		case <-shown:
		case <-r.Context().Done():
		}
		_ = ws.WriteJSON(wire.Envelope{Type: "event", Payload: hot.Event()})
		_, _, _ = ws.ReadMessage()
	}))
	t.Cleanup(s.Close)
	screen := newSyncBuffer()
	watching, stop := context.WithCancel(t.Context())
	defer stop()
	o := client.Options{URL: strings.Replace(s.URL, "http", "ws", 1), Subprotocol: wire.ReadingsV2, Subscribe: []string{wire.TopicEvents}, OpenTimeout: remotePatience}
	ended := make(chan error, 1)
	go func() { ended <- watchTable(watching, o, screen, false) }()
	screen.await(t, "hot: critical, raised "+clock(1712345678)+" (indoor.temperature > 35 for 30s, at 35.25)")
	close(shown)
	screen.await(t, "and 2 alarms more: gateway alarms ws://")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
