package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"sensorgateway/gateway/history"
	"sensorgateway/wire"
)

// hosts numbers the hosts that linkedHosts has made.
var hosts atomic.Int32

// linkedHosts makes two hosts with a link between them, whose rate towards the second is
// limited. It returns the command that runs a program on the first host, the first
// host's address, and a dialer from the second. The machine's own interfaces do not
// change, because browsers then abort all their requests (ERR_NETWORK_CHANGED).
func linkedHosts(t *testing.T, rate string) (run []string, addr string, dial func(network, addr string) (net.Conn, error)) {
	t.Helper()
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			unavailable(t, "no %s here (Debian package iproute2)", tool)
		}
	}
	near := fmt.Sprintf("gw%dn%d", os.Getpid()%100000, hosts.Add(1))
	far := near + "far"
	call := func(line string) error {
		argv := strings.Fields(line)
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
		return nil
	}
	for _, host := range []string{near, far} {
		if err := call("ip netns add " + host); err != nil {
			if os.Geteuid() != 0 {
				t.Skip("another host needs root: ", err)
			}
			unavailable(t, "no network namespaces here: %v", err)
		}
		t.Cleanup(func() {
			if err := call("ip netns del " + host); err != nil { // and the link with it
				t.Error(err)
			}
		})
	}
	for _, line := range []string{
		"ip -n " + near + " link add far type veth peer name near netns " + far,
		"ip -n " + near + " addr add 10.213.97.1/30 dev far", "ip -n " + near + " link set far up",
		"ip -n " + far + " addr add 10.213.97.2/30 dev near", "ip -n " + far + " link set near up",
		// Like a modem's queue: packets beyond the rate wait, for seconds.
		"tc -n " + near + " qdisc add dev far root tbf rate " + rate + " burst 1600 limit 32000",
	} {
		if err := call(line); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.Open("/run/netns/" + far)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	return []string{"ip", "netns", "exec", near}, "10.213.97.1", func(network, addr string) (net.Conn, error) {
		runtime.LockOSThread() // unlocked only if the thread's namespace was restored
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return nil, err
		}
		defer here.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
		c, err := net.Dial(network, addr)
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err == nil {
			runtime.UnlockOSThread()
		}
		return c, err
	}
}

// storePast writes so many readings of sensors, ten a second until now, into a state
// directory, like a gateway.
func storePast(t *testing.T, n int, sensors ...string) (state string) {
	t.Helper()
	state = t.TempDir()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	o := history.Options{Dir: filepath.Join(state, "log"), Sensors: sensors, Boot: strings.TrimSpace(string(boot)), Log: slog.New(slog.DiscardHandler)}
	saved := savedState{Epoch: "e1", Next: map[string]uint32{}}
	for _, name := range sensors {
		o.Values = append(o.Values, wire.SensorInfo{Name: name, Values: wire.Quantities()[:2]})
		saved.Next[name] = uint32(n)
	}
	log, err := history.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	log.Begin("e1", make([]uint32, len(sensors)))
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- log.Run(ctx) }()
	at := time.Now().UnixMilli() - int64(n)*100
	random := rand.New(rand.NewPCG(1, 2))
	tick := make([]wire.Record, len(sensors))
	for i := range n {
		for k := range tick {
			tick[k] = wire.Record{Sensor: uint16(k), Flags: wire.Simulated, Seq: uint32(i), Reading: wire.Reading{Values: room(random), UnixMilli: at + int64(i)*100}}
		}
		log.Append(tick, 0)
	}
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	writeState(t, state, saved)
	return state
}

// room returns the values of an SHT3x in a room, with the steps of its converter and noise.
func room(random *rand.Rand) [2]float32 {
	step := func(v, sigma, span float64) float64 {
		return math.Round((v+sigma*random.NormFloat64())/span*65535) / 65535 * span
	}
	return [2]float32{float32(step(66, 0.04/3, 175) - 45), float32(step(40, 0.02, 100))}
}

// A client missed readings of an hour, and the line carries 64 kbit/s: all of them come,
// each number once, and live readings are never old meanwhile.
func TestReplayOverASlowLink(t *testing.T) {
	long(t, "it waits for a replay over 64 kbit/s")
	t.Parallel()
	missed := tenth(t, 36_000, "missed readings")
	run, host, dial := linkedHosts(t, "64kbit")
	state := storePast(t, missed, "indoor")
	p := startGateway(t, append(run, buildGateway(t), "--simulate", "--config", oneSensorFile(t, "insecure: true\naccess: open\n"), "--listen", host+":0", "--state", state)...)
	d := websocket.Dialer{Subprotocols: []string{wire.ReadingsV2}, NetDial: dial}
	c, _, err := d.Dial(p.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","payload":{"topic":"sensors","epoch":"e1","since":{"indoor":4294967295}}}`)); err != nil {
		t.Fatal(err)
	}
	var ages, alone []time.Duration // of live readings during the replay, and after it
	var past, live []uint32
	asked := false
	begin := time.Now()
	for len(alone) < 100 {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		kind, b, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("after %d of the past and %d live: %v", len(past), len(live), err)
		}
		if kind == websocket.TextMessage {
			var answer struct {
				Type    string
				Payload wire.Subscribed
			}
			if err := json.Unmarshal(b, &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Type == "subscribed" {
				asked = true
				if !*answer.Payload.Recovered || answer.Payload.From != nil {
					t.Fatalf("answered %s", b)
				}
			}
			continue
		}
		records, err := wire.ParseRecords(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			switch {
			case !asked:
			case r.Flags&wire.Historical != 0:
				past = append(past, r.Seq)
			default:
				live = append(live, r.Seq)
				// The numbers just before the first live one may belong to missed ticks.
				if age := time.Since(time.UnixMilli(r.UnixMilli)); len(past) > 0 && past[len(past)-1]+20 > live[0] {
					alone = append(alone, age)
				} else {
					ages = append(ages, age)
				}
				if r.Flags&wire.Conflated != 0 {
					t.Errorf("live number %d is conflated", r.Seq)
				}
			}
		}
	}
	if len(past) < missed {
		t.Fatalf("%d of %d came", len(past), missed)
	}
	for i, n := range past[:missed] {
		if n != uint32(i) {
			t.Fatalf("the past has %d in the place of %d", n, i)
		}
	}
	// A tick that a busy machine missed has a number, but no record. Readings since the
	// start came in the replay, or live, or both.
	far := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }}}
	notMade, err := askMetricWith(far, p.URL, "gateway_ticks_missed_total")
	if err != nil {
		t.Fatal(err)
	}
	made := slices.Compact(slices.Sorted(slices.Values(slices.Concat(past[missed:], live))))
	gaps := int(made[len(made)-1]) + 1 - missed - len(made)
	if !slices.IsSorted(past) || !slices.IsSorted(live) || gaps > notMade {
		t.Errorf("%d numbers are missing, and %d ticks were not made: %v then live %v", gaps, notMade, past[missed:], live)
	}
	slices.Sort(ages)
	slices.Sort(alone)
	p99, noise := ages[len(ages)*99/100], alone[len(alone)*99/100]
	t.Logf("%d readings of the past in %v; live p50 %v old, p99 %v, and %v without the past",
		len(past), time.Since(begin).Round(time.Second), ages[len(ages)/2], p99, noise)
	// Behind a full queue of the line it would be 4 s; a busy machine may add some.
	if p99 > time.Second+noise {
		t.Errorf("what is live is %v old", p99)
	}
}
