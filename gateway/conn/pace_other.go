//go:build !linux

package conn

import "time"

// acknowledged is not known where the kernel is not asked.
func (s *socket) acknowledged() (uint64, time.Duration, bool) { return 0, 0, false }
