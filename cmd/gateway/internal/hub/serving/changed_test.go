package serving

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
)

// TestChangedMeanwhile holds that a gateway is not asked for live readings any more when it has
// changed while it began to be served, and the client has left.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	h.gateways.o.Reader = func(gateway, epoch string, sensors []string) (*collect.Reader, error) {
		if epoch == "e1" {
			close(begun)
			<-goOn
		}
		return h.stored.Reader(gateway, epoch, sensors)
	}
	h.publish(fleet.Here, []byte("online 1"))
	h.hello("e1", 1, sensors)
	h.eventually(func() (string, bool) {
		g, known := h.gateways.o.Gateway("pi-7")
		if !known {
			return "the gateway is not known", false
		}
		_, some := g.Hello()
		return "there is no hello", some
	})
	left := make(chan struct{})
	go func() {
		defer close(left)
		c, _, err := (&websocket.Dialer{HandshakeTimeout: patience}).Dial("ws://"+h.address+"/gateways/pi-7/", http.Header{"Authorization": {"Bearer " + h.tokens["anna"]}})
		if err != nil {
			return // it came so late that it was refused
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for err == nil {
			_, _, err = c.ReadMessage()
		}
	}()
	<-begun
	h.hello("e2", 1, sensors)
	h.eventually(func() (string, bool) {
		h.get("/gateways/pi-7/sensors/outdoor", "anna")
		h.gateways.mu.Lock()
		defer h.gateways.mu.Unlock()
		return "the gateway is served as it was", h.gateways.served["pi-7"].hello.Epoch == "e2"
	})
	close(goOn)
	<-left
	if n := h.registry.Counts().Watched; n > 0 {
		t.Errorf("%d gateways are watched, and nobody is there", n)
	}
}
