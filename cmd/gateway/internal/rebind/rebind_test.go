package rebind

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sensorgateway/cmd/gateway/internal/console"
)

// machine is a machine with the header's bus 1, a display's 20, and channel 7 of a
// multiplexer on bus 1.
func machine(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	dir := func(path string) {
		if err := os.MkdirAll(filepath.Join(root, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(path, to string) {
		if err := os.Symlink(filepath.Join(root, to), filepath.Join(root, path)); err != nil {
			t.Fatal(err)
		}
	}
	const driver = "sys/bus/platform/drivers/i2c-bcm2835/"
	dir(driver)
	for _, file := range []string{"unbind", "bind"} {
		put(t, filepath.Join(root, driver+file), "")
	}
	dir("sys/class/i2c-dev")
	for number, b := range map[string]struct{ device, name string }{
		"1": {"fe804000.i2c/i2c-1", "bcm2835 (i2c@7e804000)"}, "20": {"fef04500.i2c/i2c-20", "fef04500.i2c"},
		"7": {"fe804000.i2c/i2c-1/i2c-7", "i2c-1-mux (chan_id 3)"},
	} {
		device := "sys/devices/platform/soc/" + b.device
		dir(device + "/i2c-dev/i2c-" + number)
		put(t, filepath.Join(root, device, "i2c-dev/i2c-"+number, "name"), b.name)
		link(device+"/i2c-dev/i2c-"+number+"/device", device)
		link("sys/class/i2c-dev/i2c-"+number, device+"/i2c-dev/i2c-"+number)
	}
	link("sys/devices/platform/soc/fe804000.i2c/driver", driver)
	dir("proc/77/fd")
	put(t, filepath.Join(root, "proc/77/comm"), "python3\n")
	return root
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// written is what was written to the driver's files.
func written(t *testing.T, root string) string {
	t.Helper()
	all := ""
	for _, file := range []string{"unbind", "bind"} {
		b, err := os.ReadFile(filepath.Join(root, "sys/bus/platform/drivers/i2c-bcm2835", file))
		if err != nil {
			t.Fatal(err)
		}
		all += file + " " + string(b) + ";"
	}
	return all
}

// run runs the command.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command(console.Env{Stdout: &out})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

const (
	untouched = "unbind ;bind ;"
	rebound   = "unbind fe804000.i2c;bind fe804000.i2c;"
)

func TestRebind(t *testing.T) {
	for _, tt := range []struct {
		name, bus string
		change    func(t *testing.T, root string)
		want      string
		done      string
	}{
		{"the header's", "1", nil, "", rebound},
		{"a display's", "20", nil, "i2c-20 is fef04500.i2c, a display: it is left alone", untouched},
		{"a channel", "7", nil, "i2c-7 is a multiplexer's channel: rebind the bus that the multiplexer is on", untouched},
		{"none", "3", nil, "there is no bus i2c-3", untouched},
		{"in use", "1", func(t *testing.T, root string) {
			if err := os.Symlink("/dev/i2c-1", filepath.Join(root, "proc/77/fd/4")); err != nil {
				t.Fatal(err)
			}
		}, "python3 (process 77) has /dev/i2c-1 open; fix: stop it first", untouched},
		{"no driver", "1", func(t *testing.T, root string) {
			if err := os.Remove(filepath.Join(root, "sys/devices/platform/soc/fe804000.i2c/driver")); err != nil {
				t.Fatal(err)
			}
		}, "i2c-1 has no driver", untouched},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := machine(t)
			if tt.change != nil {
				tt.change(t, root)
			}
			out, err := run(t, "--root", root, tt.bus)
			if tt.want == "" && (err != nil || out != "i2c-1 was rebound to its driver i2c-bcm2835\n") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%q, %v; want %s", out, err, tt.want)
			}
			if got := written(t, root); got != tt.done {
				t.Errorf("got %s, want %s", got, tt.done)
			}
		})
	}
	for _, args := range [][]string{{}, {"1", "2"}, {"--requests", "x", "1"}} {
		if _, err := run(t, args...); !errors.As(err, new(console.UsageError)) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// A request vanishes in any case, so that nobody waits for it and systemd does not see
// it again; what is no request stays.
func TestRequests(t *testing.T) {
	root, dir := machine(t), t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	put(t, target, "precious")
	for _, name := range []string{"rebind-1", "rebind-20", "rebind-x", "rebind-1234", "state"} {
		put(t, filepath.Join(dir, name), "")
	}
	if err := os.Symlink(target, filepath.Join(dir, "rebind-3")); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "--root", root, "--requests", dir)
	if err == nil || !strings.Contains(err.Error(), "i2c-20 is fef04500.i2c") || !strings.Contains(err.Error(), "no bus i2c-3") || out != "i2c-1 was rebound to its driver i2c-bcm2835\n" {
		t.Errorf("%q, %v", out, err)
	}
	if got := written(t, root); got != rebound {
		t.Errorf("got %s, want %s", got, rebound)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"rebind-1234", "rebind-x", "state"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
	if b, err := os.ReadFile(target); err != nil || string(b) != "precious" {
		t.Errorf("what a link led to is %q, %v", b, err)
	}
}

// The gateway waits for the helper, and no longer than it takes one.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		request := filepath.Join(dir, "rebind-1")
		go func() {
			time.Sleep(time.Second)
			if err := os.Remove(request); err != nil {
				t.Error(err)
			}
		}()
		start := time.Now()
		if err := Ask(dir, "1"); err != nil || time.Since(start) < time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		err := Ask(dir, "1")
		if err == nil || err.Error() != "nobody rebound the adapter within 10s; fix: sudo systemctl enable --now gateway-rebind.path" || time.Since(start) != answerTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := os.Stat(request); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the request is still there: %v", err)
		}
		if err := Ask(filepath.Join(dir, "none"), "1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without a directory: %v", err)
		}
	})
}
