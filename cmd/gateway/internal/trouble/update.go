package trouble

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"sensorgateway/gateway/atomicfile"
)

// FailedUpdate returns why a later version than this one is not used, nil if there is
// none: the Debian package writes that beside the state directory when it goes back to
// this one, before it starts it.
func FailedUpdate(state string) error {
	text, err := atomicfile.Read(filepath.Clean(state) + "-update/failed/why")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return errors.New(strings.TrimSpace(string(text)))
}
