package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sensorgateway/cmd/gateway/internal/config/syntax"
)

// Read reads and checks the configuration file at path. What is wrong
// with the file or its content is a [Error].
func Read(path string, chips map[string]Chip) (*Config, error) {
	data, err := readConfigFile(path)
	if err != nil {
		return nil, Error{{File: path, Text: err.Error()}}
	}
	c, err := Parse(path, data, chips)
	if err != nil {
		return nil, err
	}
	c.File = path
	return c, nil
}

// readConfigFile returns the content of the file at path, at most one byte more
// than a configuration may have. Its errors do not name the path.
func readConfigFile(path string) ([]byte, error) {
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
	data, err := io.ReadAll(io.LimitReader(f, syntax.MaxSize+1))
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
