package serving

import (
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/history/collect"
)

// TestChangedMeanwhile holds that a client that came while a gateway began to be served, which
// has changed meanwhile, gets the gateway as it is, and that what has ended does not ask for live
// readings, which nobody would end.
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
	said := func(epoch string) { // by the gateway, and known here
		h.hello(epoch, 1, sensors)
		h.eventually(func() (string, bool) {
			g, known := h.gateways.o.Gateway("pi-7")
			if !known {
				return "the gateway is not known", false
			}
			hello, _ := g.Hello()
			return "the hello has not come", hello.Epoch == epoch
		})
	}
	h.publish(fleet.Here, []byte("online 1"))
	said("e1")
	came := make(chan *client, 1)
	go func() {
		defer close(came)
		came <- h.dial("/gateways/pi-7/", "anna")
	}()
	<-begun
	h.gateways.mu.Lock()
	old := h.gateways.served["pi-7"]
	h.gateways.mu.Unlock()
	said("e2")
	h.get("/gateways/pi-7/sensors/outdoor", "anna") // by which it is served anew
	close(goOn)
	c := <-came
	if c == nil {
		t.Fatal("the client was not greeted")
	}
	if c.hello.Epoch != "e2" {
		t.Errorf("the client is greeted with %+v", c.hello)
	}
	h.gateways.watch(old) // as does a request that has entered just before it ended
	h.gateways.mu.Lock()
	defer h.gateways.mu.Unlock()
	if old.unwatch != nil || h.gateways.served["pi-7"].unwatch == nil {
		t.Error("live readings are asked for by what has ended, or not by what has not")
	}
}
