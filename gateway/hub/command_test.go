package hub

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	start = `{"type":"command","id":1,"payload":{"action":"start","target":"fan"}}`
	stop  = `{"type":"command","id":1,"payload":{"action":"stop","target":"fan"}}`
)

// commanded answers orders as a gateway does.
func commanded(d *device, o fleet.Order, err error, p *paho.Publish) {
	if o.Kind != fleet.Cmd && err == nil {
		return
	}
	if _, is, _ := o.Connected(); is {
		return
	}
	if err != nil {
		d.reply(p, wire.JSON(wire.Envelope{Type: wire.TypeError, Payload: wire.AsError(err)}))
		return
	}
	d.reply(p, ack("start"))
}

// connected starts a hub and a device that is here.
func connected(t testing.TB) (*testHub, *device, *Remote) {
	t.Helper()
	broker := startBroker(t)
	h := newHub(t, t.TempDir())
	h.run(broker)
	d := h.startDevice(broker, "n1", commanded)
	d.here(1)
	r := h.remote()
	h.await("hello", func() bool { _, some := r.Hello(); return some })
	return h, d, r
}

func TestCommand(t *testing.T) {
	_, d, r := connected(t)
	answer, err := r.Command(t.Context(), "ahmet", "c1", []byte(start))
	if err != nil || decode(t, answer).Type != wire.TypeAck || decode(t, answer).ID != 1 {
		t.Fatalf("%s, %v", answer, err)
	}
	o := d.next(fleet.Cmd)
	if o.By != "ahmet" || !strings.HasSuffix(o.Client, "-c1") || string(o.Body) != start {
		t.Errorf("%+v", o)
	}
	for range 3 { // from several clients at once: each has a number larger than the one before
		errs := make(chan error, 20)
		for i := range cap(errs) {
			go func() {
				answer, err := r.Command(t.Context(), "x", string(rune('a'+i)), []byte(start))
				if err == nil && !strings.Contains(string(answer), `"ack"`) {
					err = wire.Errorf(500, "%s", answer)
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
	// The device was restarted, and its hello is under way.
	d.verifier.Nonce = "n2"
	answer, err = r.Command(t.Context(), "ahmet", "c1", []byte(start))
	if err != nil || decode(t, answer).Payload.Code != 409 {
		t.Errorf("%s, %v", answer, err)
	}
	if answer, err = r.Command(t.Context(), "a\nb", "", []byte(stop)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("a stop: %s, %v", answer, err)
	}
	if _, err := r.Command(t.Context(), "ahmet", "c1", []byte("nonsense")); wire.AsError(err).Code != 422 {
		t.Errorf("what is no JSON: %v", err)
	}
	// A stop in a message that is odd is one.
	if answer, err = r.Command(t.Context(), "ahmet", "c1", append([]byte("\ufeff"), stop...)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("an odd stop: %s, %v", answer, err)
	}
}

// TestClockSetBack holds that a hub commands gateways that stay up also if its clock, which was
// ahead, was set back before it started again.
func TestClockSetBack(t *testing.T) {
	broker, dir := startBroker(t), t.TempDir()
	h := newHub(t, dir)
	h.ahead.Store(int64(24 * time.Hour))
	end := h.run(broker)
	d := h.startDevice(broker, "n1", commanded)
	d.here(1)
	h.await("hello", func() bool { _, some := h.remote().Hello(); return some })
	if answer, err := h.remote().Command(t.Context(), "ahmet", "c1", []byte(start)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Fatalf("%s, %v", answer, err)
	}
	end()
	h.ahead.Store(0) // which is the device's clock too
	again := newHub(t, dir)
	again.run(broker)
	if answer, err := again.remote().Command(t.Context(), "ahmet", "c1", []byte(start)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("after the clock was set back: %s, %v", answer, err)
	}
}

// TestCommandBeforeHello holds that a restarted gateway is sent commands only when its hello has
// come: it would refuse those that were made for its previous start.
func TestCommandBeforeHello(t *testing.T) {
	h, d, r := connected(t)
	d.nonce, d.verifier.Nonce = "n2", "n2"
	d.send(fleet.Here, []byte("online 2"))
	h.await("the connection", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.connection == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if answer, err := r.Command(ctx, "ahmet", "c1", []byte(start)); wire.AsError(err).Code != 408 || !strings.Contains(err.Error(), "hello") {
		t.Fatalf("before hello: %s, %v", answer, err)
	}
	if answer, err := r.Command(t.Context(), "ahmet", "c1", []byte(stop)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("a stop before hello: %s, %v", answer, err)
	}
	said := make(chan struct{})
	go func() { d.hello(2); close(said) }()
	if answer, err := r.Command(t.Context(), "ahmet", "c1", []byte(start)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("%s, %v", answer, err)
	}
	<-said
}

// TestOvertakenByAStop holds that a command is not sent after a stop that came while it waited:
// it is given up then or, if the stop comes at the last moment, the stop has the larger number, so
// the gateway refuses the command.
func TestOvertakenByAStop(t *testing.T) {
	_, d, r := connected(t)
	given, giveUp := context.WithCancelCause(t.Context())
	r.ordering <- struct{}{} // another order is being sent
	done := make(chan error, 1)
	go func() {
		_, err := r.Command(given, "ahmet", "", []byte(start))
		done <- err
	}()
	giveUp(wire.Overtaken())
	<-r.ordering
	if err := <-done; err == nil {
		t.Error("it was carried out")
	}
	e, stop := r.registry.expect(r.name, false), (*expected)(nil)
	o := fleet.Order{Kind: fleet.Cmd, By: "ahmet", Body: []byte(start)}
	sending, cancel := context.WithTimeout(t.Context(), fleet.CmdExpiry)
	defer cancel()
	if err := r.sendInTurn(sending, o, e, func() error { stop = r.registry.expect(r.name, false); return nil }); err != nil {
		t.Fatal(err)
	}
	if o := d.next(fleet.Cmd); o.Counter != e.number || o.Counter >= stop.number {
		t.Errorf("the order %d was sent, expected as %d; a stop that came meanwhile is %d", o.Counter, e.number, stop.number)
	}
}

// TestCommandOutOfReach holds what is said when a gateway is away or does not answer, and that a
// stop is sent all the same.
func TestCommandOutOfReach(t *testing.T) {
	t.Parallel()
	h, d, r := connected(t)
	d.answerWith(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // time enough for it to be sent
	defer cancel()
	if _, err := r.Command(ctx, "", "c1", []byte(start)); wire.AsError(err).Code != 408 || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("%v", err)
	}
	d.answerWith(commanded)
	d.send(fleet.Here, []byte("offline 1"))
	h.await("the end", func() bool { return r.Overview().Presence.State == Away })
	if _, err := r.Command(t.Context(), "", "c1", []byte(start)); wire.AsError(err).Code != 503 || !strings.Contains(err.Error(), "away since") {
		t.Errorf("%v", err)
	}
	if answer, err := r.Command(t.Context(), "", "c1", []byte(stop)); err != nil || decode(t, answer).Type != wire.TypeAck {
		t.Errorf("a stop: %s, %v", answer, err)
	}
	if err := r.AskReadings(t.Context(), "indoor", "e", 1, 2); wire.AsError(err).Code != 503 || errors.As(err, &fleet.Refusal{}) {
		t.Errorf("%v", err)
	}
	if _, err := r.AskMachine(t.Context()); wire.AsError(err).Code != 503 || !strings.Contains(err.Error(), "away since") {
		t.Errorf("%v", err)
	}
	d.end()
	h.await("nobody at the broker", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := r.Command(ctx, "", "c1", []byte(stop))
		return err != nil && wire.AsError(err).Code == 503
	})
}

// TestClients holds that a gateway is told which clients that have commanded it are connected: again
// and again while one may keep something running, and at once when one is lost.
func TestClients(t *testing.T) {
	t.Parallel()
	h, d, r := connected(t)
	for _, c := range []string{"c1", "c2"} {
		if _, err := r.Command(t.Context(), "ahmet", c, []byte(start)); err != nil {
			t.Fatal(err)
		}
	}
	lists := func() []string {
		t.Helper()
		for {
			o := d.next(fleet.Cmd)
			if c, is, err := o.Connected(); is {
				if err != nil || o.By != "" || o.Client != "" {
					t.Errorf("%+v, %v", o, err)
				}
				for i, name := range c.Clients {
					c.Clients[i] = name[strings.LastIndex(name, "-")+1:]
				}
				return c.Clients
			}
		}
	}
	h.ahead.Add(int64(fleet.ClientsRepeat) + 1)
	if got := lists(); !reflect.DeepEqual(got, []string{"c1", "c2"}) {
		t.Errorf("%v", got)
	}
	r.Lost("c1")
	for got := lists(); !slices.Equal(got, []string{"c2"}); got = lists() {
		if !slices.Equal(got, []string{"c1", "c2"}) {
			t.Fatalf("%v", got)
		}
	}
	// While the fan runs it is repeated, and when it is off it is not.
	running := fan
	running.Running = true
	h.ahead.Add(int64(settling))
	d.send(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: running}))
	h.await("the fan", func() bool { return r.Motors()[0].Running })
	h.ahead.Add(int64(fleet.ClientsRepeat) + 1)
	if got := lists(); !slices.Equal(got, []string{"c2"}) {
		t.Errorf("%v", got)
	}
	d.send(fleet.News, wire.JSON(wire.Envelope{Type: wire.TypeState, Payload: fan}))
	h.await("the fan", func() bool { return !r.Motors()[0].Running })
	h.ahead.Add(int64(time.Hour))
	r.mu.Lock()
	may := r.mayKeep(h.g.o.Now())
	r.mu.Unlock()
	if may {
		t.Error("it is repeated for ever")
	}
	r.Lost("c2")
	for len(lists()) > 0 {
	}
	if _, err := r.Command(t.Context(), "", "c2", []byte(start)); err != nil {
		t.Error(err)
	}
}

// BenchmarkStop measures how long a stop takes from the hub to the device and back.
func BenchmarkStop(b *testing.B) {
	_, _, r := connected(b)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := r.Command(b.Context(), "", "", []byte(stop)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
