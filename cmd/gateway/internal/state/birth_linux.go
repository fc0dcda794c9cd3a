package state

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// birthTime returns when a file was made, zero if the file system does not say:
// statx(2).
func birthTime(f *os.File) time.Time {
	var stat unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &stat)
	if err != nil || stat.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}
	}
	return time.Unix(stat.Btime.Sec, int64(stat.Btime.Nsec)).UTC()
}
