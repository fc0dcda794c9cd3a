package supervise

import (
	"os"
	"os/signal"
	"syscall"
)

// Endure keeps two signals from ending the process, which would leave its motors as they
// are: SIGHUP, which may come while nothing can be reloaded yet or any more, and SIGPIPE,
// since the program that reads the log lines may end first.
func Endure() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE) // nobody reads it: what does not fit is dropped
}
