// Package statefile changes files of a state directory that a service and a command both
// change: the command runs as root, and the service must be able to read what it writes.
//
// It refuses to know what is in the files.
package statefile

import (
	"os"
	"path/filepath"
	"time"

	"sensorgateway/gateway/atomicfile"
)

// lockTime is how long another process may take to change the files.
const lockTime = 5 * time.Second

// Read returns the content of a file of the directory; [fs.ErrNotExist] if it is missing.
func Read(dir, name string) ([]byte, error) { return atomicfile.Read(filepath.Join(dir, name)) }

// Write replaces a file of the directory as a whole. Whoever calls, the file belongs to
// the directory's owner, and only that user may read it.
func Write(dir, name string, data []byte) error {
	return atomicfile.Write(filepath.Join(dir, name), 0o600, func(f *os.File) error {
		if err := chown(dir, f); err != nil {
			return err
		}
		_, err := f.Write(data)
		return err
	})
}
