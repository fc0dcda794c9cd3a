//go:build !linux

package gateway

import "time"

// queueing is not known where the kernel is not asked.
func (s *socket) queueing() (time.Duration, bool) { return 0, false }
