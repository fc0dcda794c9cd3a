// Package rebind takes the adapter of a stuck I²C bus from its driver and gives it back,
// which starts it anew. That needs root, and the gateway has none: it leaves a request
// in a directory, which systemd watches, and the helper unit carries it out
// (systemd/gateway-rebind.service). It refuses to know when that is to be done.
package rebind

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"sensorgateway/sensors/bus"
)

// Dir is where the gateway leaves its requests: its RuntimeDirectory.
const Dir = "/run/gateway"

const (
	prefix = "rebind-" // of a request's name, before the bus's number
	// answerTime is how long a request may take: a driver may wait for the hardware.
	answerTime = 10 * time.Second
	pollPause  = 20 * time.Millisecond
)

// Ask has the helper unit rebind the adapter of /dev/i2c-N, which the caller must not have
// open, and returns when the unit has tried it. The unit's log says whether it succeeded.
func Ask(dir, number string) error {
	request := filepath.Join(dir, prefix+number)
	if err := os.WriteFile(request, nil, 0o600); err != nil {
		return fmt.Errorf("ask for the adapter to be rebound: %w", err)
	}
	for end := time.Now().Add(answerTime); time.Now().Before(end); time.Sleep(pollPause) {
		if _, err := os.Lstat(request); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	_ = os.Remove(request) // it must not be carried out later, when nobody waits for it
	return fmt.Errorf("nobody rebound the adapter within %v; fix: sudo systemctl enable --now gateway-rebind.path", answerTime)
}

var requestForm = regexp.MustCompile(`^` + prefix + `([0-9]{1,3})$`)

// serve carries out the requests in a directory. Anybody who can write there may ask, so
// only a bus's number is taken from a request, and no link is followed.
func serve(root, dir string, say func(format string, args ...any)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var failures []error
	for _, e := range entries {
		m := requestForm.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		driver, err := adapter(root, m[1])
		if err != nil {
			failures = append(failures, err)
		} else {
			say("i2c-%s was rebound to its driver %s", m[1], driver)
		}
		// Its removal is the answer, so a request is removed even if it failed.
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// adapter rebinds the adapter of /dev/i2c-N, and returns the name of its driver.
func adapter(root, number string) (driver string, err error) {
	name := "i2c-" + number
	if err := allowed(root, number); err != nil {
		return "", err
	}
	device, err := filepath.EvalSymlinks(filepath.Join(root, "sys/class/i2c-dev", name, "device"))
	if err != nil {
		return "", err
	}
	parent := filepath.Dir(device) // the adapter is a part of it
	dir, err := filepath.EvalSymlinks(filepath.Join(parent, "driver"))
	if err != nil {
		return "", fmt.Errorf("%s has no driver that it could be taken from: %w", name, err)
	}
	driver = filepath.Base(dir)
	for _, file := range []string{"unbind", "bind"} {
		if err := write(filepath.Join(dir, file), filepath.Base(parent)); err != nil {
			return driver, fmt.Errorf("%s %s of the driver %s: %w", file, name, driver, err)
		}
	}
	return driver, nil
}

// allowed reports why a bus is not to be rebound.
func allowed(root, number string) error {
	for _, a := range bus.Adapters(root) {
		switch {
		case a.Number != number:
			continue
		case !a.Kind.ForSensors():
			return fmt.Errorf("i2c-%s is %s, %s: it is left alone", number, a.Name, a.Kind)
		case a.Kind == bus.Mux:
			return fmt.Errorf("i2c-%s is %s: rebind the bus that the multiplexer is on", number, a.Kind)
		}
		// When an adapter is taken away, the kernel waits without limit until it is closed.
		for _, u := range bus.Users(root) {
			if u.Device == "/dev/i2c-"+number {
				return fmt.Errorf("%s (process %s) has %s open; fix: stop it first", u.Name, u.PID, u.Device)
			}
		}
		return nil
	}
	return fmt.Errorf("there is no bus i2c-%s", number)
}

// write writes to a file of /sys.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// numberOf returns the N of a bus that a person calls name.
func numberOf(name string) string {
	if n := bus.Number(name); n != "" {
		return n
	}
	return strings.TrimPrefix(name, "i2c-")
}
