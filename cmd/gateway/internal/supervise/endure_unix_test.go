//go:build unix

package supervise

import (
	"os"
	"syscall"
	"testing"
)

// TestEndure holds that the process goes on after these signals: else it ends here.
func TestEndure(t *testing.T) {
	Endure()
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGHUP} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Error(err)
		}
	}
}
