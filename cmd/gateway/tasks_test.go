package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// events gathers what happens, in its order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, s)
}

// until returns a task that runs until its context ends, and then so long.
func (e *events) until(name string, ending time.Duration) task {
	return task{name: name, run: func(ctx context.Context) error {
		e.add("start " + name)
		<-ctx.Done()
		time.Sleep(ending)
		e.add("end " + name)
		return nil
	}}
}

func unguarded(run func(context.Context) error) func(context.Context) error { return run }

// Tasks start when the one before is ready, and the last ones end after the others.
func TestTasksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e events
		ready := make(chan struct{})
		motors, sampler, server := e.until("motors", time.Second), e.until("sampler", 2*time.Second), e.until("server", 0)
		motors.ready, server.last = ready, true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- runTasks(ctx, []task{motors, server, sampler}, unguarded) }()
		synctest.Wait()
		if want := []string{"start motors"}; !slices.Equal(e.list, want) {
			t.Errorf("before the motors are ready: %q, want %q", e.list, want)
		}
		close(ready)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		slices.Sort(e.list[1:3]) // they start at the same time
		if want := []string{"start motors", "start sampler", "start server", "end motors", "end sampler", "end server"}; !slices.Equal(e.list, want) {
			t.Errorf("got  %q\nwant %q", e.list, want)
		}
	})
}

// A task that fails ends all others, and its error says which it was.
func TestTaskFails(t *testing.T) {
	for _, last := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var e events
			broken := errors.New("broken")
			server := e.until("server", 0)
			server.last = true
			failing := task{name: "storage", last: last, run: func(context.Context) error { return broken }}
			err := runTasks(t.Context(), []task{e.until("motors", 0), server, failing}, unguarded)
			if !errors.Is(err, broken) || err.Error() != "storage: broken" {
				t.Errorf("error %v", err)
			}
			if n := len(e.list); n != 4 || e.list[3] != "end server" {
				t.Errorf("got %q", e.list)
			}
		})
	}
}

// A start that is interrupted before a task is ready ends at once.
func TestTasksInterruptedAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e events
		motors := e.until("motors", 0)
		motors.ready = make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := runTasks(ctx, []task{motors, e.until("sampler", 0)}, unguarded); err != nil {
			t.Error(err)
		}
		if len(e.list) != 4 {
			t.Errorf("got %q", e.list)
		}
	})
}
