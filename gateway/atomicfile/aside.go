package atomicfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// SetAside renames a damaged file: its content is kept, and not taken for that of the
// next file. It returns the damage, with the new name.
func SetAside(path string, damage error) error {
	aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
	return errors.Join(fmt.Errorf("damaged, set aside as %s: %w", aside, damage), os.Rename(path, aside))
}

// CopyNewer keeps a copy of a file that a newer version of the gateway wrote, for that
// version: this one replaces the file by what it knows of it.
func CopyNewer(log *slog.Logger, path string, data []byte) {
	kept := fmt.Sprintf("%s.newer-%d", path, time.Now().Unix())
	if err := os.WriteFile(kept, data, 0o640); err != nil {
		log.Warn("written by a newer version of the gateway: what this one does not know is lost", "file", path, "err", err)
		return
	}
	log.Warn("written by a newer version of the gateway: this one uses what it knows of it", "file", path, "copy", kept)
}
