package setup

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/backup"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/state"
)

// A latched e-stop is ended by a reset only: neither by a backup that was made before it was
// pressed, nor by a restore into a directory in which it is not latched.
func TestRestoreReleasesNoEStop(t *testing.T) {
	const none = "no file"
	latch := func(dir string) *state.Latch {
		return state.NewLatch(dir, func(error) {}, slog.New(slog.DiscardHandler))
	}
	for _, tt := range []struct{ backup, now, want string }{ // who has latched it, "" after a reset
		{none, "anna", "anna"},
		{"", "anna", "anna"},
		{"zeynep", "anna", "zeynep"},
		{"zeynep", "", "zeynep"},
		{"zeynep", none, "zeynep"},
		{"", "", ""},
		{none, "", ""},
	} {
		from, dir, path := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "backup")
		for dir, by := range map[string]string{from: tt.backup, dir: tt.now} {
			if by != none {
				l := latch(dir)
				l.Set(by != "", by, time.Now())
				l.Close()
			}
		}
		if _, err := backup.Write(path, from, backup.Head{Gateway: "greenhouse"}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd := Restore(console.Env{Stdout: &out}, Installed{
			Flags: pflag.NewFlagSet("", pflag.ContinueOnError),
			State: func() (string, error) { return dir, nil },
		})
		cmd.SetArgs([]string{path, "--force"})
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		if by, _ := latch(dir).Read(); by != tt.want {
			t.Errorf("%+v: latched by %q", tt, by)
		}
		if says := strings.Contains(out.String(), "it stays latched"); says != (tt.want == "anna") {
			t.Errorf("%+v: %s", tt, out.String())
		}
	}
}
