package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/history"
)

const (
	defaultState = "/var/lib/gateway" // where the unit keeps it
	logDir       = "log"              // of readings, in the state directory
)

// logOfReadings is the log of this machine's gateway, for commands: where it is
// say the flags and the environment as they do to the gateway itself.
func logOfReadings(getenv func(string) string) console.Log {
	var path, state string
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.StringVar(&path, "config", "", "configuration `file`, which says where the state is (default "+config.DefaultFile+")")
	f.StringVar(&state, "state", "", "the gateway's state `directory` (default: as the configuration says, else "+defaultState+")")
	return console.Log{
		Flags: f,
		Dir: func() (string, error) {
			if err := fromEnvironment(f, getenv); err != nil {
				return "", err
			}
			return findLog(path, state)
		},
		Open: func(dir string) (console.LogReader, error) { return history.OpenReader(dir) },
	}
}

// findLog returns the directory of the log, below the state directory: that one,
// else the one of the configuration, if there is one.
func findLog(path, state string) (string, error) {
	if state == "" {
		_, err := os.Stat(config.DefaultFile)
		if path != "" || !errors.Is(err, fs.ErrNotExist) {
			cfg, err := serveOptions{config: path}.configuration(nil)
			if err != nil {
				return "", err
			}
			state = cfg.State
		}
	}
	if state == "" {
		state = defaultState
	}
	return filepath.Join(state, logDir), nil
}
