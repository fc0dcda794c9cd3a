package uplink

import (
	"fmt"
	"strings"
	"testing"

	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// Questions are answered; one for readings with those that the log has.
func TestQuestions(t *testing.T) {
	r := newRig(t)
	for range 20 {
		r.readings.add(600)
	}
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	h.greet()
	h.send(h.order(fleet.Ask, `{"ask":"hello","since":0,"until":0}`))
	if got := h.answered(); !strings.HasPrefix(got, `{"type":"hello","payload":{"server":"gateway",`) || !strings.Contains(got, `"nonce":"`+h.nonce) {
		t.Error(got)
	}
	h.send(h.order(fleet.Ask, `{"ask":"state","since":0,"until":0}`))
	if got := h.answered(); !strings.HasPrefix(got, `{"type":"state","payload":[{"target":"fan",`) {
		t.Error(got)
	}
	h.send(h.order(fleet.Ask, `{"ask":"readings","sensor":"indoor","epoch":"e1","since":599,"until":11000}`))
	next, messages := uint32(600), 0
	for {
		got := h.answered()
		if strings.HasPrefix(got, "{") {
			if want := fmt.Sprintf(`{"type":"readings","payload":{"sensor":"indoor","epoch":"e1","messages":%d,"records":10401}}`, messages); got != want || next != 11001 || messages < 2 {
				t.Errorf("%s, want %s, up to %d", got, want, next-1)
			}
			break
		}
		messages++
		blocks, err := onePart([]byte(got))
		if err != nil || blocks.First != next {
			t.Fatalf("%d to %d, want %d: %v", blocks.First, blocks.Last, next, err)
		}
		next = blocks.Last + 1
	}
	h.send(h.order(fleet.Ask, `{"ask":"readings","sensor":"indoor","epoch":"e0","since":1,"until":3}`))
	if got := h.answered(); !strings.Contains(got, `"messages":0,"records":0`) {
		t.Error(got)
	}
	h.send(h.order(fleet.Ask, `{"ask":"machine","since":0,"until":0}`))
	if got := h.answered(); got != `{"type":"machine","payload":{"load1":0.5}}` {
		t.Error(got)
	}
	h.send(h.order(fleet.Ask, `{"ask":"weather"}`))
	if got := h.answered(); !strings.Contains(got, `"code":404`) {
		t.Error(got)
	}
}

// When the bytes of the month are nearly used, readings are sent to who asks, but not so many
// that the summaries of minutes have none left.
func TestQuestionsWithinBudget(t *testing.T) {
	r := newRig(t)
	r.budget = 1_000_000
	r.Uplink = r.newUplink()
	r.o.Shipper.Used(920_000)
	r.readings.add(600)
	h := r.newHub("hub-a")
	r.run(r.Uplink)
	for hello := h.greet(); hello.Uplink == nil || !strings.Contains(hello.Uplink.State, "only the range and mean"); {
		hello = h.greet() // the first may come before it is seen
	}
	if e := r.event(wire.EventUplinkBudget); !strings.Contains(e.Reason, "only the range and mean of each minute") {
		t.Errorf("%+v", e)
	}
	ask := func() string {
		h.send(h.order(fleet.Ask, `{"ask":"readings","sensor":"indoor","epoch":"e1","since":0,"until":600}`))
		return h.answered()
	}
	if blocks, err := onePart([]byte(ask())); err != nil || blocks.Records != 600 {
		t.Errorf("%+v, %v", blocks, err)
	}
	if got := h.answered(); !strings.Contains(got, `"records":600`) {
		t.Error(got)
	}
	r.o.Shipper.Used(30_000)
	r.notice()
	if got := ask(); !strings.Contains(got, `"code":503,"message":"the bytes of this month are nearly used`) {
		t.Error(got)
	}
	if got := <-r.refusals; !strings.HasPrefix(got, "hub-a: the bytes of this month") {
		t.Error(got)
	}
	h.send(h.order(fleet.Ask, `{"ask":"machine"}`))
	if got := h.answered(); !strings.Contains(got, `"code":503,"message":"the bytes of this month are nearly used`) {
		t.Error(got)
	}
}

// While a small budget is nearly used, the state says how much is used: not 0 MB.
func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{901_500: "901 kB", 1_000_000: "1000 kB", 450_900_000: "450 MB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
