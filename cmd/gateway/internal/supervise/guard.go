package supervise

import "context"

// Guard returns run with a panic made safe: crashed is called before the process dies of it.
func Guard(run func(context.Context) error, crashed func()) func(context.Context) error {
	return func(ctx context.Context) error {
		defer func() {
			if r := recover(); r != nil {
				crashed()
				panic(r)
			}
		}()
		return run(ctx)
	}
}
