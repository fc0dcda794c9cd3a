package host

import "golang.org/x/sys/unix"

// diskFree returns how many bytes this user can still write below dir, nil if
// there is no such directory: statfs(2).
func diskFree(dir string) *uint64 {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return nil
	}
	return new(s.Bavail * uint64(s.Frsize))
}
