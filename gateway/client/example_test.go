package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// tiny is a gateway of two motors and a sensor that measures once.
func tiny(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{wire.ReadingsV2}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer ws.Close()
	_ = ws.WriteJSON(wire.Envelope{Type: wire.TypeHello, Payload: wire.Hello{Server: "gateway", Epoch: "e", Sensors: []wire.SensorInfo{{ID: 0, Name: "indoor"}}}})
	reading := wire.Reading{Values: [2]float32{21.5, 45}, UnixMilli: 1712345678901}
	_ = ws.WriteMessage(websocket.BinaryMessage, wire.Record{Seq: 7, Reading: reading}.Append(nil))
	for {
		var e wire.Envelope
		if ws.ReadJSON(&e) != nil {
			return
		}
		if e.Type == wire.TypeCommand {
			_ = ws.WriteJSON(wire.Envelope{Type: wire.TypeAck, ID: e.ID, Payload: wire.Ack{Action: wire.Keepalive, Status: "ok", Motors: []wire.MotorState{{Target: "fan", Running: true}, {Target: "pump"}}}})
		}
	}
}

// Readings come until the context ends, over as many connections as it takes.
func ExampleClient_Run() {
	server := httptest.NewServer(http.HandlerFunc(tiny))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c := client.New(client.Options{
		URL:         strings.Replace(server.URL, "http", "ws", 1) + "/",
		Subprotocol: wire.ReadingsV2,
		Handle: func(e client.Event) {
			switch e := e.(type) {
			case client.Connected:
				fmt.Println("connected to a", e.Hello.Server)
			case client.Records:
				for _, r := range e {
					fmt.Println(r.Name, r.Seq, r.Values[0], r.Values[1], r.Fault == wire.Good)
				}
				cancel() // one is enough here
			case client.Disconnected:
				fmt.Println(e.Err, e.Wait)
			}
		},
	})
	if err := c.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// connected to a gateway
	// indoor 7 21.5 45 true
}

// One keepalive names all motors that the client holds: one each could be more
// messages than a gateway takes.
func ExampleClient_Request() {
	server := httptest.NewServer(http.HandlerFunc(tiny))
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	connected := make(chan struct{})
	c := client.New(client.Options{
		URL:         strings.Replace(server.URL, "http", "ws", 1) + "/",
		Subprotocol: wire.ReadingsV2,
		Handle: func(e client.Event) {
			if _, ok := e.(client.Connected); ok {
				close(connected)
			}
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	<-connected

	answer, err := c.Request(ctx, wire.TypeCommand, map[string]any{"action": wire.Keepalive, "target": []string{"fan", "pump"}})
	if err != nil {
		fmt.Println(err) // a *wire.Error if the gateway refused
	}
	var ack wire.Ack
	if err := json.Unmarshal(answer.Payload, &ack); err != nil {
		fmt.Println(err)
	}
	for _, m := range ack.Motors {
		fmt.Println(m.Target, m.Running)
	}
	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output:
	// fan true
	// pump false
}
