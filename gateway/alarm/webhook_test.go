package alarm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sensorgateway/wire"
)

// receiver takes what is posted, in a bubble, where there is no network.
type receiver struct {
	mu     sync.Mutex
	answer func(try int) (status int, err error) // nil: 204
	tries  int
	got    []string // IDs and states of what it has taken
	hangs  bool
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.tries++
	try, hangs := r.tries, r.hangs
	status, err := http.StatusNoContent, error(nil)
	if r.answer != nil {
		status, err = r.answer(try)
	}
	r.mu.Unlock()
	if hangs {
		<-q.Context().Done()
		return nil, q.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	var m struct {
		ID      string
		Payload wire.Event
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if status/100 == 2 {
		r.got = append(r.got, m.ID+" "+m.Payload.Alarm+" "+m.Payload.State)
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: http.NoBody, Header: http.Header{}}, nil
}

// taken returns the alarms and states that were taken, and checks that no ID came twice.
func (r *receiver) taken(t *testing.T) (all []string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]bool{}
	for _, text := range r.got {
		id, rest, _ := strings.Cut(text, " ")
		if ids[id] || id == "" {
			t.Errorf("%s came twice", text)
		}
		ids[id] = true
		all = append(all, rest)
	}
	return all
}

func (r *receiver) webhook(t *testing.T) *Webhook {
	t.Helper()
	return &Webhook{URL: "http://receiver.example/alarms", SecretFile: secretFile(t, "secret\n"), Gateway: "greenhouse 3", transport: r}
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The receiver fails five times in different ways, and then has each change once, in
// their order.
func TestOneDeliveryThoughTheReceiverFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to := &receiver{answer: func(try int) (int, error) {
			switch try {
			case 1, 2:
				return 0, errors.New("connection refused")
			case 3:
				return 500, nil
			case 4:
				return 404, nil
			case 5:
				return 302, nil
			}
			return 200, nil
		}}
		r := newRig(t, Options{Webhook: to.webhook(t)}, "indoor.temperature > 35")
		defer r.end()
		begin := time.Now()
		r.reading(0, 36)
		r.acknowledge("anna", "1", "a")
		r.reading(0, 20)
		for len(to.taken(t)) < 3 {
			r.pass(100 * time.Millisecond)
		}
		if got := fmt.Sprint(to.taken(t)); got != "[a raised a acknowledged a cleared]" {
			t.Error(got)
		}
		if took := time.Since(begin); took < 15*time.Second || took > 16*time.Second {
			t.Errorf("it took %v", took)
		}
		r.pass(time.Hour)
		if got, _ := r.Deliveries(); got != (Deliveries{Delivered: 3, Failed: 5}) || to.tries != 8 {
			t.Errorf("%+v after %d tries", got, to.tries)
		}
		if log := r.log.String(); strings.Count(log, "cannot be posted") != 1 || strings.Count(log, "posted to the webhook again") != 1 {
			t.Errorf("log: %s", log)
		}
	})
}

// A receiver that takes nothing costs a bounded queue: the newest are in it.
func TestQueueIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		down := true
		to := &receiver{answer: func(int) (int, error) {
			if down {
				return 503, nil
			}
			return 200, nil
		}}
		r := newRig(t, Options{Webhook: to.webhook(t)}, "indoor.temperature > 35")
		defer r.end()
		for range maxQueue {
			r.reading(0, 36)
			r.reading(0, 20)
			r.pass(time.Minute)
		}
		if got, _ := r.Deliveries(); got.Waiting != maxQueue || got.Dropped != maxQueue || to.tries > 40 {
			t.Errorf("%+v, %d tries", got, to.tries)
		}
		if n := strings.Count(r.log.String(), "the oldest are dropped"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		to.mu.Lock()
		down = false
		to.mu.Unlock()
		r.pass(maxPostPause)
		if got := to.taken(t); len(got) != maxQueue || got[maxQueue-1] != "a cleared" {
			t.Errorf("%d came: %q", len(got), got)
		}
	})
}

// Neither a tick nor the end waits for a receiver that hangs. What it has not taken, it
// gets after the restart, with the ID of before.
func TestReceiverThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		to := &receiver{hangs: true}
		hook := to.webhook(t)
		r := newRig(t, Options{File: file, Webhook: hook}, "indoor.temperature > 35")
		begin := time.Now()
		r.reading(0, 36)
		r.reading(0, 20)
		r.end()
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		var s saved
		s, _, err := parse([]byte(read(t, file)))
		if err != nil || len(s.Deliveries) != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		to.hangs = false
		r = newRig(t, Options{File: file, Webhook: hook}, "indoor.temperature > 35")
		r.pass(time.Second)
		if got := to.taken(t); fmt.Sprint(got) != "[a raised a cleared]" || !strings.HasPrefix(to.got[0], s.Deliveries[0].ID) {
			t.Errorf("%q, want %+v", to.got, s.Deliveries)
		}
		r.end()
		r = newRig(t, Options{File: file, Webhook: hook}, "indoor.temperature > 35")
		defer r.end()
		r.pass(time.Hour)
		to.taken(t) // none twice
	})
}

// A receiver that hangs in the middle of an answer is left.
func TestPostEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to := &receiver{hangs: true}
		hook := to.webhook(t)
		begin := time.Now()
		if err := hook.post(t.Context(), hook.client(), delivery{}); err == nil || time.Since(begin) != postTime {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// goldenDelivery is a delivery: receivers of other authors read these bytes.
var goldenDelivery = delivery{"ID1", wire.Alarm{
	Name: "hot", State: wire.AlarmRaised, Severity: wire.SeverityCritical, Condition: "greenhouse.temperature > 35 for 30s", Sensor: "greenhouse", Value: new(float32(35.2)), Since: 1712345678.901,
}.Event()}

const goldenBody = `{"type":"event","id":"ID1","gateway":"greenhouse <3>","payload":{"kind":"alarm","sensor":"greenhouse","alarm":"hot","state":"raised","severity":"critical",` +
	`"condition":"greenhouse.temperature > 35 for 30s","value":35.2,"since":1712345678.901,"ts":1712345678.901}}`

func TestGoldenDelivery(t *testing.T) {
	w := Webhook{Gateway: "greenhouse <3>"}
	if got := string(w.body(goldenDelivery)); got != goldenBody {
		t.Errorf("got  %s\nwant %s", got, goldenBody)
	}
	// printf 'ID1.1712345679.{}' | openssl dgst -sha256 -hmac secret -binary | base64
	if got := sign([]byte("secret"), "ID1", "1712345679", []byte("{}")); got != "v1,CrIuvFYDaW8Nl+q2Ua9u5ssZ3/Xw69pF2U5Ml5ef/zw=" {
		t.Error(got)
	}
}

// What is sent to a real receiver, and how its answers are treated.
func TestPost(t *testing.T) {
	var at string // where a redirect leads to
	stolen := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer stolen.Close()
	status := 0
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h := hmac.New(sha256.New, []byte("secret"))
		fmt.Fprintf(h, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
			t.Errorf("signed %s, want %s", r.Header.Get("Webhook-Signature"), want)
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Webhook-Id") != "ID1" || string(body) != strings.ReplaceAll(goldenBody, "greenhouse <3>", "gw") {
			t.Errorf("%s %v %s", r.Method, r.Header, body)
		}
		if at != "" {
			w.Header().Set("Location", at)
		}
		w.WriteHeader(status)
	})
	plain, secure := httptest.NewServer(server), httptest.NewUnstartedServer(server)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it refuses, as it must
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	post := func(url, secret string) string {
		w := Webhook{URL: url, SecretFile: secret, Gateway: "gw"}
		client := w.client()
		defer client.CloseIdleConnections()
		return fmt.Sprint(w.post(t.Context(), client, goldenDelivery))
	}
	file := secretFile(t, "secret\n")
	for _, tt := range []struct {
		status   int
		location string
		want     string // in the error; "<nil>" if there is none
	}{
		{200, "", "<nil>"}, {204, "", "<nil>"}, {299, "", "<nil>"},
		{400, "", "400 Bad Request"}, {404, "", "404 Not Found"}, {410, "", "410 Gone"}, {500, "", "500 Internal Server Error"},
		{301, stolen.URL, "no redirect is followed"}, {307, stolen.URL, "no redirect is followed"}, {308, "", "no redirect is followed"},
	} {
		status, at = tt.status, tt.location
		if got := post(plain.URL, file); !strings.Contains(got, tt.want) {
			t.Errorf("%d: %s, want %s", tt.status, got, tt.want)
		}
	}
	status, at = 200, ""
	if got := post(secure.URL, file); !strings.Contains(got, "certificate") {
		t.Errorf("a receiver with a certificate of its own: %s", got)
	}
	encoded := secretFile(t, "whsec_"+base64.StdEncoding.EncodeToString([]byte("secret")))
	if got := post(plain.URL, encoded); got != "<nil>" {
		t.Error(got)
	}
	for text, want := range map[string]string{"": "has no secret in it", " \n": "has no secret in it", "whsec_?": "no base64 follows"} {
		if got := post(plain.URL, secretFile(t, text)); !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := post(plain.URL, filepath.Join(t.TempDir(), "none")); !strings.Contains(got, "fix: let the user who runs the gateway read it") {
		t.Error(got)
	}
	if got := post("http://127.0.0.1:1/path-secret?query-secret", file); !strings.Contains(got, "127.0.0.1:1: ") || !strings.Contains(got, "refused") || strings.Contains(got, "-secret") {
		t.Error(got)
	}
}

// A secret that cannot be read is in the log before an alarm is lost by it, and read
// when it is there.
func TestSecretThatComesLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		to := &receiver{}
		hook := to.webhook(t)
		hook.SecretFile = filepath.Join(t.TempDir(), "secret")
		r := newRig(t, Options{Webhook: hook}, "indoor.temperature > 35")
		defer r.end()
		r.pass(0)
		if !strings.Contains(r.log.String(), "no such file") {
			t.Errorf("log: %s", r.log.String())
		}
		r.reading(0, 36)
		if err := os.WriteFile(hook.SecretFile, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Second)
		if got := to.taken(t); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// Without a webhook nothing is queued, and what was is forgotten.
func TestNoWebhook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "alarms.json")
		r := newRig(t, Options{File: file, Webhook: (&receiver{hangs: true}).webhook(t)}, "indoor.temperature > 35")
		r.reading(0, 36)
		r.end()
		r = newRig(t, Options{File: file}, "indoor.temperature > 35")
		r.reading(0, 20)
		r.end()
		if got, some := r.Deliveries(); some || got != (Deliveries{}) || strings.Contains(read(t, file), `"id"`) {
			t.Errorf("%+v, %t, %s", got, some, read(t, file))
		}
	})
}
