package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// Endure lets two signals end the process no longer, which would leave its motors as they
// are: SIGHUP, which comes while there is nothing to reload yet or any more, and SIGPIPE,
// for whoever reads the log lines may end first.
func Endure() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE) // nobody reads it: what does not fit is dropped
}
