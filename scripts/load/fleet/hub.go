//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"sensorgateway/gateway/access/tokens"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/scripts/load/process"
)

const (
	site     = "lab"
	hubNames = "ab" // hub-a and hub-b
	members  = "members.json"
)

// hub is the built program as a hub.
type hub struct {
	name    string
	dir     string
	program string
	brokers []string
	token   string // a viewer's, for all gateways
	roots   *x509.CertPool
	client  *http.Client

	*process.Program
	started usage // when it was ready, before any gateway connected
}

// newHubs makes the state directories of a fleet's hubs, below dir. Only the authority,
// members, keys and tokens are the same in all of them.
func newHubs(dir, program string, brokers []string) (hubs []*hub, authority *enroll.Authority, err error) {
	var keys []byte
	for _, letter := range hubNames {
		h := &hub{name: "hub-" + string(letter), program: program, brokers: brokers}
		h.dir = filepath.Join(dir, h.name)
		hubs = append(hubs, h)
		if err := os.Mkdir(h.dir, 0o700); err != nil {
			return nil, nil, err
		}
		_, err := enroll.SigningKey(h.dir, func(key ed25519.PublicKey) string {
			line := fleet.KeyLine(key, h.name)
			keys = append(keys, line...)
			return line
		})
		if err != nil {
			return nil, nil, err
		}
	}
	first := hubs[0]
	if authority, err = enroll.InitAuthority(first.dir, time.Now()); err != nil {
		return nil, nil, err
	}
	err = tokens.Edit(first.dir, func(f *tokens.File) (err error) {
		first.token, err = f.Add(tokens.Token{Name: "dashboards", Role: tokens.Viewer, By: "scripts/fleet"})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	for _, h := range hubs {
		h.token, h.roots = first.token, roots
		h.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: h.tls()}}
		if err := os.WriteFile(filepath.Join(h.dir, "hubs.keys"), keys, 0o600); err != nil {
			return nil, nil, err
		}
		if h == first {
			continue
		}
		for _, name := range []string{"ca.crt", "ca.key", "ca.crl", "tokens.json"} {
			data, err := os.ReadFile(filepath.Join(first.dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(h.dir, name), data, 0o600)
			}
			if err != nil {
				return nil, nil, err
			}
		}
		if err := os.Symlink(filepath.Join(first.dir, members), filepath.Join(h.dir, members)); err != nil { // gateways enroll at the first
			return nil, nil, err
		}
	}
	return hubs, authority, nil
}

var hubReady = regexp.MustCompile(`the hub is ready.*(https://127\.0\.0\.1:[0-9]+)`)

// start starts the hub, with the limits of its unit, and waits until it has a broker.
func (h *hub) start(ctx context.Context) error {
	listen := "127.0.0.1:0"
	cmd := exec.CommandContext(ctx, h.program, "hub", "--state", h.dir, "--name", h.name, "--listen", listen, "--site", site, "--log-format", "text")
	for _, b := range h.brokers {
		cmd.Args = append(cmd.Args, "--broker", b)
	}
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=448MiB") // as in the unit
	var err error
	if h.Program, err = process.Start(cmd, hubReady); err != nil {
		return err
	}
	return await(ctx, patience, func() error {
		o, err := h.overview(ctx)
		if err == nil && (len(o.Sites) != 1 || !o.Sites[0].Connected) {
			err = fmt.Errorf("%s has no connection to the broker: %+v", h.name, o.Sites)
		}
		return err
	})
}

func (h *hub) tls() *tls.Config { return &tls.Config{RootCAs: h.roots, MinVersion: tls.VersionTLS12} }

// overview is the hub's answer about all gateways.
type overview struct {
	Time  int64
	Sites []struct {
		Connected bool
		Reason    string
	}
	Gateways []struct {
		Name     string
		Presence struct{ State string }
		Stored   int64
	}
}

func (h *hub) overview(ctx context.Context) (*overview, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Found+"/api/v1/gateways", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	answer, err := h.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("the overview of %s: %w", h.name, err)
	}
	o := &overview{}
	if err := json.Unmarshal(body, o); err != nil || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the overview of %s: %s, %v: %.200s", h.name, answer.Status, err, body)
	}
	return o, nil
}

// usage is a process's use of the machine at one moment.
type usage struct {
	at  time.Time
	cpu time.Duration
	rss int // bytes
}

func usageOf(p process.ID) (u usage, err error) {
	var errs [2]error
	u.cpu, errs[0] = p.CPU()
	u.rss, errs[1] = p.RSS()
	u.at = time.Now()
	return u, errors.Join(errs[:]...)
}

// since returns the share of one core that was used.
func (u usage) since(before usage) float64 {
	return float64(u.cpu-before.cpu) / float64(u.at.Sub(before.at))
}

// log returns the directory in which the hub stores a gateway's readings.
func (h *hub) log(gateway string) string { return filepath.Join(h.dir, "gateways", gateway, logDir) }
