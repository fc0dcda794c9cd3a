package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// Paths of what a hub answers devices.
const (
	EnrollPath = "/fleet/v1/enroll"
	RenewPath  = "/fleet/v1/renew"
)

// maxRequest is how long a device's request can be, in bytes.
const maxRequest = 16 << 10

// admission is what a device sends to be let in.
type admission struct {
	Secret  []byte `json:"secret"` // of the code
	Name    string `json:"name"`
	Request string `json:"request"` // for a certificate (RFC 2986), PEM
}

// Membership is the hub's answer to a device, which stores it.
type Membership struct {
	Hub         string   `json:"hub"` // its address, as the device knows it
	Site        string   `json:"site"`
	Name        string   `json:"name"`
	Brokers     []string `json:"brokers"` // to be tried in turn
	Keys        string   `json:"keys"`    // with which hubs sign orders, a line each
	Certificate string   `json:"certificate"`
}

// HubOptions are what a [Hub] is made of.
type HubOptions struct {
	Authority *Authority
	Members   *Members
	Brokers   []string
	Keys      func() ([]byte, error)  // of all hubs, a line each
	CheckName func(name string) error // of a gateway
	Log       *slog.Logger
}

// Hub answers devices that enroll, and those that renew their certificates.
type Hub struct{ o HubOptions }

// NewHub returns a hub's answers to devices.
func NewHub(o HubOptions) *Hub { return &Hub{o} }

// TLS returns a listener's configuration. Devices, which ask for [HubName], are shown a
// certificate of the authority and asked for theirs. The configuration others is for all
// other clients; if it is nil, all are treated as devices.
func (h *Hub) TLS(others *tls.Config) (*tls.Config, error) {
	devices, err := h.o.Authority.Listener(HubName, []string{HubName})
	if err != nil {
		return nil, err
	}
	devices.ClientAuth, devices.ClientCAs, devices.MinVersion = tls.VerifyClientCertIfGiven, x509.NewCertPool(), tls.VersionTLS13
	devices.ClientCAs.AddCert(h.o.Authority.cert)
	if others == nil {
		return devices, nil
	}
	all, next := others.Clone(), others.GetConfigForClient
	all.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch {
		case hello.ServerName == HubName:
			return devices, nil
		case next != nil:
			return next(hello)
		}
		return nil, nil
	}
	return all, nil
}

// Pages returns the handlers of requests that need no token: a code allows to enroll, and
// a certificate to renew it.
func (h *Hub) Pages() map[string]http.Handler {
	return map[string]http.Handler{EnrollPath: posted(h.enroll), RenewPath: posted(h.renew)}
}

func posted(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", "POST")
			http.Error(w, "devices use POST here: gateway enroll", http.StatusMethodNotAllowed)
			return
		}
		answer(w, r)
	})
}

func (h *Hub) enroll(w http.ResponseWriter, r *http.Request) {
	var a admission
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		http.Error(w, "not a request of gateway enroll: "+err.Error(), http.StatusBadRequest)
		return
	}
	public, err := h.check(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	now := time.Now()
	cert, site, err := h.o.Members.enroll(h.o.Authority, a.Secret, a.Name, keyHash(public), now, func(site string) (*x509.Certificate, error) {
		return h.o.Authority.gateway(a.Name, site, public, now)
	})
	h.answer(w, r, a.Name, site, cert, err)
}

// check returns the public key of a request, whose device has shown that it has the
// private one.
func (h *Hub) check(a admission) (*ecdsa.PublicKey, error) {
	if err := h.o.CheckName(a.Name); err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(a.Request))
	if block == nil {
		return nil, errors.New("request: no PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	public, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("request: the key must be ECDSA on P-256")
	}
	if request.Subject.CommonName != a.Name {
		return nil, errors.New("request: its common name is not the gateway's")
	}
	return public, nil
}

func (h *Hub) renew(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		http.Error(w, "no certificate of this fleet was shown; fix: ask for "+HubName+" by TLS, and show the gateway's", http.StatusForbidden)
		return
	}
	old := r.TLS.VerifiedChains[0][0]
	name, now := old.Subject.CommonName, time.Now()
	cert, site, err := h.o.Members.renew(name, keyHash(old.PublicKey), now, func(site string) (*x509.Certificate, error) {
		return h.o.Authority.gateway(name, site, old.PublicKey, now)
	})
	h.answer(w, r, name, site, cert, err)
}

// answer sends a device its new certificate, or says why it gets none.
func (h *Hub) answer(w http.ResponseWriter, r *http.Request, name, site string, cert *x509.Certificate, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		h.o.Log.Warn("a device was refused", "gateway", name, "from", r.RemoteAddr, "path", r.URL.Path, "reason", refused.why)
		http.Error(w, refused.why, http.StatusForbidden)
		return
	}
	var keys []byte
	if err == nil {
		keys, err = h.o.Keys()
	}
	if err != nil {
		h.o.Log.Error("a device could not be given a certificate", "gateway", name, "err", err)
		http.Error(w, "the hub cannot sign certificates now; its log says why", http.StatusInternalServerError)
		return
	}
	h.o.Log.Info("a gateway has a new certificate", "gateway", name, "site", site, "from", r.RemoteAddr, "path", r.URL.Path, "expires", cert.NotAfter.Format(time.DateOnly))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(Membership{ // it fails if the device has left, which then asks again
		Site: site, Name: name, Brokers: h.brokersOf(name), Keys: string(keys), Certificate: string(certPEM(cert.Raw)),
	})
}

// brokersOf returns the brokers in the order in which a gateway tries them. Gateways begin
// with different ones: else all of a fleet would use the first node of a cluster.
func (h *Hub) brokersOf(name string) []string {
	if len(h.o.Brokers) == 0 {
		return nil
	}
	f := fnv.New32a()
	_, _ = io.WriteString(f, name)
	first := int(f.Sum32() % uint32(len(h.o.Brokers)))
	return slices.Concat(h.o.Brokers[first:], h.o.Brokers[:first])
}

// keyHash returns the hash by which a public key is stored.
func keyHash(public any) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // it cannot fail: the key was parsed
	}
	return hashOf(der)
}
