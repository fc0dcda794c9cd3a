package atomicfile

import (
	"fmt"
	"io/fs"
	"os"
)

// Read returns the content of the file at path. What is no regular file is not opened: see
// [Regular].
func Read(path string) ([]byte, error) {
	if err := Regular(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Regular returns an error if what is at path is no regular file, or is missing. Whoever
// opens a pipe waits until somebody writes to it, without end, and no context ends that.
func Regular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	kind := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe, to which nobody may ever write"
	default:
		kind = "a device or a socket (" + mode.String() + ")"
	}
	return fmt.Errorf("%s is no file but %s (remove it, or put the file in its place)", path, kind)
}
