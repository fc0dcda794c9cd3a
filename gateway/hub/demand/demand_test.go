package demand

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/gateway/hub"
	"sensorgateway/wire"
)

// minutes returns those of a sensor from the nth on, of ten readings each.
func minutes(sensor string, from, n uint32) (all []hub.Gap) {
	for i := from; i < from+n; i++ {
		all = append(all, hub.Gap{Sensor: sensor, Epoch: "e", Since: i * 10, Until: i*10 + 10})
	}
	return all
}

// rig is a demand that runs, and what gateways are asked.
type rig struct {
	*Demand
	t *testing.T

	mu    sync.Mutex
	asked []string
	err   error // the answer
}

func start(t *testing.T) *rig {
	r := &rig{t: t}
	r.Demand = New(Options{Log: slog.New(slog.DiscardHandler), Ask: func(ctx context.Context, gateway string, gap hub.Gap) error {
		r.mu.Lock()
		r.asked = append(r.asked, fmt.Sprintf("%s %s %d-%d", gateway, gap.Sensor, gap.Since, gap.Until))
		err := r.err
		r.mu.Unlock()
		select {
		case <-time.After(20 * time.Second):
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// questions returns what was asked since it was called last, after a time.
func (r *rig) questions(after time.Duration) []string {
	time.Sleep(after)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *rig) wants(what string, got, want any) {
	r.t.Helper()
	if !reflect.DeepEqual(got, want) {
		r.t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// Consecutive minutes are one question, up to an hour, oldest first; each minute is asked for
// once within an hour, whoever wants it.
func TestQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.wants("nothing", r.Want("pi-1", nil, "it is away").String(), "")
		r.wants("the first", r.Want("pi-1", append(minutes("indoor", 10, 70), minutes("indoor", 90, 1)...), ""), Answer{Minutes: 71, Asked: 71})
		r.wants("another sensor", r.Want("pi-1", minutes("outdoor", 10, 2), ""), Answer{Minutes: 2, Asked: 2})
		r.wants("another client", r.Want("pi-1", minutes("indoor", 79, 2), "").String(), "minutes=2, asked=2, gone=0")
		r.wants("another gateway", r.Want("pi-2", minutes("indoor", 10, 1), ""), Answer{Minutes: 1, Asked: 1})
		got := map[string]bool{}
		for _, q := range r.questions(0) {
			got[q] = true
		}
		r.wants("at first", got, map[string]bool{"pi-1 indoor 100-700": true, "pi-2 indoor 100-110": true})
		r.wants("then", r.questions(2*time.Minute), []string{"pi-1 indoor 700-800", "pi-1 indoor 900-910", "pi-1 outdoor 100-120", "pi-1 indoor 800-810"})
		r.wants("what the gateway does not have", r.Want("pi-1", minutes("indoor", 78, 2), "").String(), "minutes=2, asked=0, gone=2")
		r.wants("counts", r.Counts(), Counts{Answered: 75})
		r.wants("within the hour", r.questions(50*time.Minute), []string(nil))
		time.Sleep(20 * time.Minute)
		r.wants("after an hour", r.Want("pi-1", minutes("indoor", 78, 2), ""), Answer{Minutes: 2, Asked: 2})
		r.wants("again", r.questions(time.Minute), []string{"pi-1 indoor 780-800"})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		r.Demand.mu.Lock()
		defer r.Demand.mu.Unlock()
		r.wants("remembered", len(r.gateways), 0)
	})
}

// A gateway that refuses, or does not answer, is left alone for a while, and clients are told
// why; one that is away is not asked at all.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		r.wants("away", r.Want("pi-1", minutes("indoor", 0, 3), "it is away").String(), `minutes=3, asked=0, gone=0, reason="it is away"`)
		r.wants("of one that is away", r.questions(time.Minute), []string(nil))
		r.err = wire.Errorf(503, "all bytes are \"used\"")
		r.wants("at first", r.Want("pi-1", minutes("indoor", 0, 100), ""), Answer{Minutes: 100, Asked: 100})
		r.wants("once", r.questions(time.Minute), []string{"pi-1 indoor 0-600"})
		r.wants("refused", r.Want("pi-1", minutes("indoor", 0, 100), "").String(), `minutes=100, asked=0, gone=0, reason="asked at 2000-01-01T00:01:20Z: all bytes are \"used\""`)
		r.wants("counts", r.Counts(), Counts{Refused: 100})
		r.wants("meanwhile", r.questions(8*time.Minute), []string(nil))
		r.err = wire.Errorf(408, "it has not answered")
		time.Sleep(2 * time.Minute)
		r.wants("later", r.Want("pi-1", minutes("indoor", 0, 2), "").Asked, 2)
		r.wants("asked again", r.questions(time.Minute), []string{"pi-1 indoor 0-20"})
		r.wants("all counts", r.Counts(), Counts{Refused: 100, Silent: 2})
		r.err = nil
		time.Sleep(failed)
		r.wants("at last", r.Want("pi-1", minutes("indoor", 0, 2), "").Asked, 2)
		r.questions(time.Minute)
		r.wants("in the end", r.Counts(), Counts{Answered: 2, Refused: 100, Silent: 2})
		r.Want("pi-1", minutes("indoor", 50, 2), "") // which is not answered when the test ends
	})
}

// However much clients want, the minutes that a gateway is asked for within an hour, and the
// gateways that wait, are limited.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		all := minutes("indoor", 0, most+500)
		a := r.Want("pi-1", all, "")
		r.wants("asked", a.Asked, most)
		if !strings.Contains(a.Why, "ask again later") {
			t.Errorf("%+v", a)
		}
		r.wants("questions", len(r.questions(30*time.Minute)), most/together)
		r.wants("of the rest", r.Want("pi-1", all[most:], "").Asked, 0)
		r.wants("no questions", len(r.questions(30*time.Minute)), 0)
		time.Sleep(time.Hour)
		r.wants("of the rest, later", r.Want("pi-1", all[most:], "").Asked, 500)
		r.questions(time.Hour)

		for i := range dueMost + askers {
			r.Want(fmt.Sprint("pi-", i), all[:1], "")
			synctest.Wait()
		}
		a = r.Want("one-more", all[:2], "")
		if a.Asked != 0 || !strings.Contains(a.Why, "gateways wait") {
			t.Errorf("%+v", a)
		}
	})
}
