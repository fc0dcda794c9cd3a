package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// frozen starts the program with its state on a file system that takes no write, until
// thaw is called.
func frozen(t *testing.T) (p *gatewayProcess, thaw func()) {
	t.Helper()
	disk := newExt4(t)
	if out, err := exec.Command("fsfreeze", "--freeze", disk.dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be frozen here: %v: %s", err, out)
	}
	thawed := false
	thaw = func() {
		if out, err := exec.Command("fsfreeze", "--unfreeze", disk.dir).CombinedOutput(); err != nil && !thawed {
			t.Errorf("fsfreeze: %v: %s", err, out)
		}
		thawed = true
	}
	p = launchGateway(t, buildGateway(t), "--simulate", "--config", withoutInterlocks(t), "--listen", "127.0.0.1:0", "--state", disk.dir)
	t.Cleanup(thaw) // runs before the wait for the program's end, which a hanging write would block
	select {
	case p.URL = <-p.announced:
	case <-time.After(patience):
		t.Fatal("the gateway does not listen while the disk does not answer")
	}
	return p, thaw
}

// readiness returns what /readyz says.
func readiness(t *testing.T, p *gatewayProcess) (r struct {
	Durable bool
	Storage string
}) {
	t.Helper()
	response, err := http.Get("http" + strings.TrimPrefix(p.URL, "ws") + "readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// The disk hangs when the gateway starts: motors can be started and stopped, /readyz
// says why nothing is stored, and it is stored when the disk answers.
func TestStartOnAFrozenDisk(t *testing.T) {
	t.Parallel()
	p, thaw := frozen(t)
	o := newMotorClient(t, p.URL)
	for _, action := range []string{"start", "stop"} {
		if a := o.ask("command", `{"action":"`+action+`","target":"motor_1"}`); a.Type != "ack" || a.Payload.State.Running != (action == "start") {
			t.Errorf("%s: %+v", action, a)
		}
	}
	if r := readiness(t, p); r.Durable || !strings.Contains(r.Storage, "has not answered since the start") {
		t.Errorf("/readyz: %+v", r)
	}
	thaw()
	for late := time.Now().Add(patience); !readiness(t, p).Durable; <-time.After(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("the disk answers: /readyz: %+v", readiness(t, p))
		}
	}
	if all := allStored(t, p.URL); len(all) == 0 {
		t.Error("no reading is stored")
	}
}

// A disk that hangs since the start does not delay the gateway's end. (The kernel keeps the
// process itself until its last write returns.) Other work of the machine may delay it, so
// the fastest of a few ends counts.
func TestEndOnAFrozenDisk(t *testing.T) {
	t.Parallel()
	fastest := patience
	for attempt := 0; attempt < 5 && fastest > time.Second; attempt++ {
		t.Run("", func(t *testing.T) { fastest = min(fastest, endOnAFrozenDisk(t)) })
	}
	if fastest > time.Second {
		t.Errorf("the end took %v, want a second at most", fastest)
	}
}

func endOnAFrozenDisk(t *testing.T) (took time.Duration) {
	p, thaw := frozen(t)
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await(t, "readings since then are lost")
	took = time.Since(begin)
	if c, err := net.Dial("tcp", u.Host); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	thaw()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Error("it does not end")
	}
	return took
}
