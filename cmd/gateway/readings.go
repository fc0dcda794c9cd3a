package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/auditor"
	"sensorgateway/cmd/gateway/internal/chips"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/export"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/setup"
	"sensorgateway/cmd/gateway/internal/state"
	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

const (
	defaultState = "/var/lib/gateway" // of the systemd unit
	logDir       = "log"              // of readings, in the state directory
	pageSuffix   = "-page"            // of the file in memory that has the log's newest page
)

// logOfReadings is the log of this machine's gateway, for commands. Flags and the
// environment say where it is, as they do for the gateway itself.
func logOfReadings(getenv func(string) string) export.Log {
	var path, stateDir string
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.StringVar(&path, "config", "", "configuration `file`, which says where the state is (default "+config.DefaultFile+")")
	f.StringVar(&stateDir, "state", "", "the gateway's state `directory` (default: as the configuration says, else "+defaultState+")")
	return export.Log{
		Flags: f,
		Find: func() (string, []wire.SensorInfo, error) {
			if err := fromEnvironment(f, getenv); err != nil {
				return "", nil, err
			}
			return findLog(path, stateDir)
		},
		Open: func(dir string, measured bool, damaged func(why string, readings int)) (export.LogReader, error) {
			memory := state.MemoryFiles(filepath.Dir(dir), machine.BootID(), pageSuffix)
			r, err := history.OpenReader(dir, func(d history.Damage) { damaged(d.Reason, d.Readings) }, memory...)
			if err != nil {
				return nil, err
			}
			if measured {
				r.Measured()
			}
			return r, nil
		},
	}
}

// auditLog is the audit log of this machine's gateway, for commands.
func auditLog(getenv func(string) string) setup.AuditLog {
	readings := logOfReadings(getenv)
	return setup.AuditLog{Flags: readings.Flags, Find: func() (dir, key, anchor string, err error) {
		dir, _, err = readings.Find()
		dir, key, anchor = auditor.Files(filepath.Dir(dir))
		return dir, key, anchor, err
	}}
}

// installed is this machine's gateway, for commands that set it up.
func installed(getenv func(string) string) setup.Installed {
	readings := logOfReadings(getenv)
	return setup.Installed{
		Flags: readings.Flags,
		State: func() (string, error) { dir, _, err := readings.Find(); return filepath.Dir(dir), err },
		Read:  func(file string) (*config.Config, error) { return serveOptions{config: file}.configuration(nil) },
	}
}

// findLog returns the directory of the log. It is in the state directory: in state, if
// that is given, else in the one that the configuration names. If a configuration was
// read, findLog also returns its sensors.
func findLog(path, state string) (dir string, configured []wire.SensorInfo, err error) {
	_, missing := os.Stat(config.DefaultFile)
	if path != "" || state == "" && !errors.Is(missing, fs.ErrNotExist) {
		cfg, err := serveOptions{config: path}.configuration(nil)
		if err != nil {
			return "", nil, err
		}
		state, configured = cmp.Or(state, cfg.State), chips.Infos(cfg)
	}
	return filepath.Join(cmp.Or(state, defaultState), logDir), configured, nil
}
