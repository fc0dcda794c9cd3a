package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handshake connects a client with a hub.
func handshake(hub, client *tls.Config) error {
	near, far := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = tls.Server(far, hub).Handshake() // a client that refuses it says why
		_ = far.Close()
	}()
	err := tls.Client(near, client).Handshake()
	_ = near.Close()
	<-ended
	return err
}

// TestHubRunsForYears holds that devices accept a hub's certificate after a hub has run for
// longer than it is valid.
func TestHubRunsForYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, err := InitAuthority(t.TempDir(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		config, err := NewHub(HubOptions{Authority: authority}).TLS(nil)
		if err != nil {
			t.Fatal(err)
		}
		device := Device{}.trust(authority.Pin(), nil)
		for range 3 {
			if err := handshake(config, device); err != nil {
				t.Errorf("on %s: %v", time.Now(), err)
			}
			time.Sleep((gatewayYears*365 + 10) * 24 * time.Hour)
		}
	})
}

// TestShown holds that a certificate is made again when the clock was set, or half of its time
// has passed, and not for each client.
func TestShown(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	authority, err := InitAuthority(t.TempDir(), begin)
	if err != nil {
		t.Fatal(err)
	}
	end := authority.cert.NotAfter
	for name, tt := range map[string]struct {
		first, then time.Time
		anew        bool
	}{
		"at once":                      {begin, begin, false},
		"the clock was a minute ahead": {begin, begin.Add(-time.Minute), false},
		"it was a day ahead":           {begin.AddDate(0, 0, 1), begin, true},
		"it said 1970":                 {time.Unix(0, 0), begin, true},
		"it still says 1970":           {time.Unix(0, 0), time.Unix(3600, 0), false},
		"after 11 months":              {begin, begin.AddDate(0, 11, 0), false},
		"after 13 months":              {begin, begin.AddDate(1, 1, 0), true},
		"after 5 years":                {begin, begin.AddDate(5, 0, 0), true},
		"near the authority's end":     {end.AddDate(0, 0, -3), end.AddDate(0, 0, -1), false},
		"after the authority's end":    {end.AddDate(0, 0, -3), end.AddDate(0, 0, 1), false},
		"the clock was beyond its end": {end.AddDate(1, 0, 0), begin, true},
	} {
		s := &shown{authority: authority, commonName: HubName, hosts: []string{HubName}}
		first, err := s.pair(tt.first)
		if err != nil {
			t.Fatal(err)
		}
		then, err := s.pair(tt.then)
		if err != nil || (then != first) != tt.anew {
			t.Errorf("%s: made again: %v, %v", name, then != first, err)
		}
		if again, _ := s.pair(tt.then); again != then {
			t.Errorf("%s: it is made for each client", name)
		}
	}
}

// TestShownAtOnce holds that clients that connect at the same time are shown the same one.
func TestShownAtOnce(t *testing.T) {
	authority, err := InitAuthority(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &shown{authority: authority, commonName: HubName, hosts: []string{HubName}}
	if _, err := s.pair(time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	made := make(chan *tls.Certificate)
	for range 20 {
		go func() {
			pair, err := s.pair(time.Now())
			if err != nil {
				t.Error(err)
			}
			made <- pair
		}()
	}
	first := <-made
	for range 19 {
		if <-made != first {
			t.Error("clients were shown different ones")
		}
	}
}

// TestHubClock holds that a hub whose clock is wrong gives no certificate that has expired
// already, and says what is wrong.
func TestHubClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is 2000
		f := &fleet{t: t, dir: t.TempDir()}
		var err error
		if f.authority, err = InitAuthority(f.dir, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
		f.members = OpenMembers(f.dir)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "pi-1"}}, key)
		if err != nil {
			t.Fatal(err)
		}
		code := f.code("lab", "")
		body, err := json.Marshal(admission{Secret: code.Secret[:], Name: "pi-1", Request: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))})
		if err != nil {
			t.Fatal(err)
		}
		hub := NewHub(HubOptions{
			Authority: f.authority, Members: f.members, Log: slog.New(slog.DiscardHandler),
			Keys: func() ([]byte, error) { return nil, nil }, CheckName: func(string) error { return nil },
		})
		answer := httptest.NewRecorder()
		hub.Pages()[EnrollPath].ServeHTTP(answer, httptest.NewRequest(http.MethodPost, EnrollPath, strings.NewReader(string(body))))
		if text := answer.Body.String(); answer.Code != http.StatusForbidden || !strings.Contains(text, "the clock of the hub says 2000-01-01") || !strings.Contains(text, "fix: set the clock") {
			t.Errorf("%d %s", answer.Code, text)
		}
		if _, ok := f.members.Get("pi-1"); ok {
			t.Error("pi-1 is in the fleet")
		}

		// A device with a right clock is not let through to that answer, and says so itself.
		config, err := hub.TLS(nil)
		if err != nil {
			t.Fatal(err)
		}
		device := Device{Now: func() time.Time { return time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC) }}
		f.want(handshake(config, device.trust(f.authority.Pin(), nil)), "the clock of the hub")
	})
}
