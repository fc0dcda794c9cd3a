package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/wire"
)

// The state directory: a flag goes before the environment, that before the file.
func TestFindLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte("state: /from/file\nsensors:\n  - {name: a, chip: sht3x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logFor := func(env map[string]string, args ...string) (dir string, err error) {
		log := logOfReadings(func(name string) string { return env[name] })
		if err := log.Flags.Parse(args); err != nil {
			return "", err
		}
		dir, configured, err := log.Find()
		if named := slices.Contains(args, file) || env["GATEWAY_CONFIG"] == file; err == nil && named &&
			(len(configured) != 1 || configured[0].Name != "a" || !slices.Equal(configured[0].Values, []wire.Quantity{wire.Temperature, wire.Humidity})) {
			t.Errorf("%v %v: sensors %+v", env, args, configured)
		}
		return dir, err
	}
	for _, tt := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, []string{"--config", file}, "/from/file"},
		{map[string]string{"GATEWAY_CONFIG": file}, nil, "/from/file"},
		{map[string]string{"GATEWAY_STATE": "/from/env"}, []string{"--config", file}, "/from/env"},
		{map[string]string{"GATEWAY_STATE": "/from/env", "GATEWAY_FORMAT": "nonsense"}, []string{"--state", "/from/flag"}, "/from/flag"},
	} {
		if dir, err := logFor(tt.env, tt.args...); err != nil || dir != filepath.Join(tt.want, "log") {
			t.Errorf("%v %v: %s, %v, want %s", tt.env, tt.args, dir, err, tt.want)
		}
	}
	if _, err := os.Stat(config.DefaultFile); errors.Is(err, fs.ErrNotExist) {
		if dir, err := logFor(nil); err != nil || dir != filepath.Join(defaultState, "log") {
			t.Errorf("by default: %s, %v", dir, err)
		}
	}
	if _, err := logFor(nil, "--config", file+".none"); exitStatus(err) != exitConfig {
		t.Errorf("no such configuration: %v", err)
	}
}
