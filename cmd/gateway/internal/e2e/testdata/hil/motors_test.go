package hil

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	program = "/usr/bin/gateway"
	config  = "/etc/gateway/gateway.yaml"
)

// motors are those of gateway.yaml, and what runs them forwards at full speed.
var motors = []struct {
	name   string
	levels []string
}{
	{"relay", []string{"relay=1"}},
	{"lamp", []string{"lamp=0"}},
	{"gate", []string{"in1=1", "enable=1", "standby=1"}},
	{"fan", []string{"pwm=40000"}},
}

// testMotors checks the levels of the lines after faults of the gateway and of operators.
// As on a Pi, the lines keep their levels when nobody holds them.
func testMotors(t *testing.T) {
	t.Run("before the port answers", testOffFirst)
	t.Run("run", testRun)
	t.Run("read back", testReadBack)
	t.Run("operator lost", testOperatorLost)
	t.Run("lease", testLease)
	t.Run("e-stop", testEStop)
	t.Run("killed", testKilled)
	t.Run("killed with a broken configuration", testKilledUnconfigured)
	t.Run("stopped", testStopped)
	t.Run("line held by another", testHeldLine)
}

// testOffFirst: outputs that a dead process has left on are off before anybody can
// connect; and no motor starts while the e-stop's contact is open, as it is now. (To claim
// the line pulls it up, and the emulator has no contact that is stronger than a pull-up.)
func testOffFirst(t *testing.T) {
	systemctl(t, "stop")
	gpioset(t, "17=1", "4=0", "23=1", "25=1", "27=1", "18=1")
	for file, text := range map[string]string{"period": "40000", "duty_cycle": "20000", "enable": "1"} {
		write(t, pwmChannel+file, text)
	}
	wantLevels(t, "relay=1", "lamp=0", "in1=1", "enable=1", "standby=1", "dir=1", "pwm=20000")

	systemctl(t, "start", "--no-block")
	begin := time.Now()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			wantLevels(t)
			c.Close()
			break
		}
		if time.Since(begin) > limit {
			t.Fatal(err)
		}
	}
	o := operate(t)
	wantClaimed(t)
	o.refused(t, 409, "e-stop input", "start", "relay")
	o.refused(t, 409, "e-stop input", "reset", "")
	wantLevels(t)
	o.release(t)
	for _, m := range motors {
		o.wantStopped(t, m.name, "command") // the reset's
	}
}

// gpioset drives lines and releases them.
func gpioset(t *testing.T, levels ...string) {
	t.Helper()
	if b, err := exec.Command("gpioset", append([]string{os.Getenv("chip")}, levels...)...).CombinedOutput(); err != nil {
		t.Fatalf("gpioset %v: %v: %s", levels, err, b)
	}
}

func testRun(t *testing.T) {
	o := operate(t)
	for _, m := range motors {
		o.start(t, m.name)
		wantLevels(t, m.levels...)
		o.do(t, "stop", m.name)
		wantLevels(t)
		o.wantStopped(t, m.name, "command")
	}

	o.start(t, "gate", `"speed":0.5`)
	untilPulses(t, 25)
	o.do(t, "set", "gate", `"direction":"reverse"`, `"speed":1`)
	untilLevels(t, "in2=1", "enable=1", "standby=1")
	if s := o.do(t, "status", "gate"); s.Direction != "reverse" || s.Speed != 1 {
		t.Errorf("gate: %+v, want it in reverse", s)
	}
	o.start(t, "fan", `"speed":0.5`, `"direction":"reverse"`)
	wantLevels(t, "in2=1", "enable=1", "standby=1", "dir=1", "pwm=20000")
	o.do(t, "stop", "all")
	wantLevels(t)
}

// testReadBack: after many requests for its state, an output is still an output.
func testReadBack(t *testing.T) {
	o := operate(t)
	for _, m := range motors[:2] {
		o.start(t, m.name)
	}
	tick := time.NewTicker(60 * time.Millisecond) // 20 messages a second are allowed
	defer tick.Stop()
	for range 50 {
		<-tick.C
		o.do(t, "status", "all")
		wantLevels(t, "relay=1", "lamp=0")
	}
	wantClaimed(t)
	o.do(t, "stop", "all")
	wantLevels(t)
}

// testOperatorLost: the operator's program is killed, or hangs.
func testOperatorLost(t *testing.T) {
	o := operate(t)
	for _, tt := range []struct{ name, signal string }{{"killed", "KILL"}, {"hangs", "STOP"}} {
		t.Run(tt.name, func(t *testing.T) {
			client := exec.Command(program, "motor", address, "start", "relay", "--for", "1h")
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				client.Process.Kill()
				client.Wait()
			}()
			untilLevels(t, "relay=1")
			lost := time.Now()
			signal(t, tt.signal, strconv.Itoa(client.Process.Pid))
			untilLevels(t)
			t.Logf("off after %v", time.Since(lost).Round(time.Millisecond))
			o.wantStopped(t, "relay", "disconnect")
		})
	}
}

// testLease: the lease ends in time, although the operator is still connected.
func testLease(t *testing.T) {
	const lease = time.Second
	holder := operate(t)
	begin := time.Now()
	holder.start(t, "lamp", `"lease_ms":1000`)
	wantLevels(t, "lamp=0")
	untilLevels(t)
	took := time.Since(begin)
	t.Logf("a lease of %v ended after %v", lease, took.Round(time.Millisecond))
	if took < lease {
		t.Errorf("a lease of %v ended after %v", lease, took)
	}
	operate(t).wantStopped(t, "lamp", "lease")
}

func testEStop(t *testing.T) {
	o := operate(t)
	var all []string
	for _, m := range motors {
		o.start(t, m.name)
		all = append(all, m.levels...)
	}
	wantLevels(t, all...)
	contact(t, "open")
	untilLevels(t)
	for _, m := range motors {
		o.refused(t, 409, "e-stop input", "start", m.name)
	}
	o.refused(t, 409, "e-stop input", "reset", "")
	contact(t, "closed")
	o.refused(t, 409, "e-stop input", "start", "relay") // it latches
	o.release(t)
	wantLevels(t)
	o.start(t, "relay")
	wantLevels(t, "relay=1")
	o.do(t, "stop", "relay")
}

// kill kills the gateway, and waits until all outputs except on are off, before systemd
// starts the next process. It returns the invocation that it has ended.
func kill(t *testing.T, on ...string) (invocation string) {
	t.Helper()
	invocation = property(t, "InvocationID")
	signal(t, "KILL", property(t, "MainPID"))
	begin := time.Now()
	untilLevels(t, on...)
	took, off := time.Since(begin), sinceStart(t)
	if now := property(t, "MainPID"); now != "0" {
		us, err := strconv.ParseInt(property(t, "ExecMainStartTimestampMonotonic"), 10, 64)
		if started := time.Duration(us) * time.Microsecond; err != nil || started < off {
			t.Errorf("process %s was started %v before the motors were seen off (%v)", now, off-started, err)
		}
	}
	t.Logf("off %v after SIGKILL", took.Round(time.Millisecond))
	return invocation
}

// sinceStart returns the time since the machine's start, as in systemd's timestamps.
func sinceStart(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatalf("clock_gettime: %v", err)
	}
	return time.Duration(ts.Nano())
}

// testKilled: the gateway is killed and starts again; no motor that ran before runs
// again.
func testKilled(t *testing.T) {
	o := operate(t)
	var all []string
	for _, m := range motors {
		o.start(t, m.name)
		all = append(all, m.levels...)
	}
	wantLevels(t, all...)
	wantStopPost(t, kill(t), "0")
	wantAllOff(t)
}

// wantAllOff waits until the gateway is back, and checks that all motors are off.
func wantAllOff(t *testing.T) {
	t.Helper()
	s := connect(t)
	if len(s.hello.Motors) != len(motors) {
		t.Fatalf("motors %+v", s.hello.Motors)
	}
	for _, m := range s.hello.Motors {
		if m.Running || m.Speed != 0 {
			t.Errorf("%+v runs", m)
		}
	}
	s.untilGood(t, "sht")
	wantLevels(t)
	wantClaimed(t)
	operate(t).release(t)
}

// testKilledUnconfigured: somebody edits the file, and then the gateway is killed. The
// outputs that it had driven are off all the same.
func testKilledUnconfigured(t *testing.T) {
	o := operate(t)
	o.start(t, "relay")
	good := read(t, config)
	write(t, config, "motors: nonsense\n")
	kill(t)
	retry(t, "failed", func() error {
		if state := property(t, "ActiveState"); state != "failed" {
			return fmt.Errorf("it is %s", state)
		}
		return nil
	})
	if status := property(t, "ExecMainStatus"); status != "78" {
		t.Errorf("it ended with status %s, want 78", status)
	}
	write(t, config, good)
	systemctl(t, "start")
	wantAllOff(t)
}

// testStopped: no motor runs once the gateway was asked to end, and it ends with
// success.
func testStopped(t *testing.T) {
	o := operate(t)
	o.start(t, "relay")
	o.start(t, "gate", `"speed":0.5`)
	invocation := property(t, "InvocationID")
	systemctl(t, "stop")
	wantLevels(t)
	wantSuccess(t)
	wantStopPost(t, invocation, "0")
}

// testHeldLine: another program holds one of the lines. The other motors work, and are
// safe; the motor of that line works once the line is free.
func testHeldLine(t *testing.T) {
	other := exec.Command("gpioset", "--mode=signal", os.Getenv("chip"), "17=1")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	untilLevels(t, "relay=1")
	systemctl(t, "start")
	connect(t).untilGood(t, "sht")
	o := operate(t)
	contact(t, "closed")
	retry(t, "reset", func() error { // the gateway polls the contact
		a := o.command(t, "reset", "")
		if a.Payload.Code != 503 || !strings.Contains(a.Payload.Message, `held by "gpioset"`) {
			return fmt.Errorf("%s %+v, want error 503 that says who holds the line", a.Type, a.Payload)
		}
		return nil
	})
	o.refused(t, 503, `held by "gpioset"`, "start", "relay")
	o.start(t, "lamp")
	wantLevels(t, "relay=1", "lamp=0")
	wantStopPost(t, kill(t, "relay=1"), "1")

	o = operate(t)
	signal(t, "TERM", strconv.Itoa(other.Process.Pid))
	other.Wait()
	untilLevels(t) // without any command
	o.refused(t, 409, "e-stop input", "start", "relay")
	o.release(t)
	wantClaimed(t)
	o.start(t, "relay")
	wantLevels(t, "relay=1")
	o.do(t, "stop", "relay")
	wantLevels(t)
}

// testCertificate: after systemctl reload, new clients get a new certificate, and connected
// clients are not disturbed.
func testCertificate(t *testing.T) {
	group, err := user.LookupGroup("gateway")
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		t.Fatal(err)
	}
	makeCertificate := func() {
		t.Helper()
		const key = "/etc/gateway/gateway.key"
		if b, err := exec.Command(program, "cert", "--out", "/etc/gateway", "--force").CombinedOutput(); err != nil {
			t.Fatalf("gateway cert: %v: %s", err, b)
		}
		if err := os.Chown(key, 0, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	serial := func() (string, error) {
		dialer := net.Dialer{Timeout: 10 * time.Second}
		c, err := tls.DialWithDialer(&dialer, "tcp", address, &tls.Config{InsecureSkipVerify: true}) // its number is all we want
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
	}

	makeCertificate()
	write(t, config, read(t, config)+"\ntls: {cert: /etc/gateway/gateway.crt, key: /etc/gateway/gateway.key}\n")
	systemctl(t, "restart")
	first, err := serial()
	if err != nil {
		t.Fatal(err)
	}
	pid := property(t, "MainPID")
	makeCertificate()
	systemctl(t, "reload")
	untilLogged(t, "certificate reloaded") // not logged when it finds a new one by itself
	if now, err := serial(); err != nil || now == first {
		t.Errorf("after a reload: certificate %s, %v, want another than %s", now, err, first)
	}
	if now := property(t, "MainPID"); now != pid {
		t.Errorf("process %s is now %s", pid, now)
	}
}
