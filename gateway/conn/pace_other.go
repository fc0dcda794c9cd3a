//go:build !linux

package conn

import "time"

// acknowledged is not known here.
func (s *socket) acknowledged() (uint64, time.Duration, bool) { return 0, 0, false }
