package machine

import "os"

// Name returns the machine's name, "" if it has none.
func Name() string {
	name, _ := os.Hostname() // it has none, or nobody may know it
	return name
}
