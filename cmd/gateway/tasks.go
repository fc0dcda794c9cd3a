package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// A task is a part of the gateway that runs until its context ends, and returns
// soon after that.
type task struct {
	name  string
	run   func(ctx context.Context) error // an error ends the gateway
	ready <-chan struct{}                 // the next task starts when it is closed; nil: at once
	last  bool                            // its context ends when the others have ended
}

// A guard wraps what a goroutine runs, to make a panic safe.
type guard func(run func(context.Context) error) func(context.Context) error

// runTasks starts the tasks in their order, each when the one before is ready.
// When ctx ends, or a task fails, it ends those that are not last, waits for them,
// and does the same with the last ones.
func runTasks(ctx context.Context, tasks []task, guard guard) error {
	first, endFirst := context.WithCancel(ctx)
	defer endFirst()
	last, endLast := context.WithCancel(context.WithoutCancel(ctx))
	defer endLast()
	var firstGroup, lastGroup errgroup.Group
	for _, t := range tasks {
		group, ctx := &firstGroup, first
		if t.last {
			group, ctx = &lastGroup, last
		}
		group.Go(func() error {
			err := guard(t.run)(ctx)
			if err != nil {
				endFirst()
				err = fmt.Errorf("%s: %w", t.name, err)
			}
			return err
		})
		if t.ready != nil {
			select {
			case <-t.ready:
			case <-first.Done():
			}
		}
	}
	<-first.Done()
	err := firstGroup.Wait()
	endLast()
	return errors.Join(err, lastGroup.Wait())
}
