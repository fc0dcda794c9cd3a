package bus

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// User is a program that has a bus open.
type User struct {
	PID, Name string
	Device    string // such as "/dev/i2c-1"
}

// Users returns the other programs that have a bus of the machine open, as far as the
// user may see them: all are seen by root.
func Users(root string) (all []User) {
	links, _ := filepath.Glob(filepath.Join(root, "proc/[0-9]*/fd/*")) // fails for a malformed pattern only
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, "/dev/i2c-") {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		pid := filepath.Base(process)
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(process, "comm")) // it may have ended meanwhile
		all = append(all, User{PID: pid, Name: strings.TrimSpace(string(name)), Device: target})
	}
	return all
}
