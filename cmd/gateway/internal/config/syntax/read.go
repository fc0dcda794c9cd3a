package syntax

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ReadFile returns the content of the file at path, at most one byte more than
// [MaxSize]. Its errors do not name the path.
func ReadFile(path string) ([]byte, error) {
	// Before it is opened: opening a pipe waits for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainFileError(path, err)
	}
	switch {
	case info.IsDir():
		return nil, errors.New("is a directory (name the file in it)")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file (a reload must be able to read it again)")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, explainFileError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, explainFileError(path, err)
	}
	return data, nil
}

// explainFileError says why the file at path cannot be read and what helps.
func explainFileError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("no such file (give its path with --config, or try --simulate, which needs none)")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied (let the user that runs the gateway read it: sudo chmod a+r %s)", path)
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err // the operation and the path are noise here
	}
	return fmt.Errorf("cannot be read: %w", err)
}
