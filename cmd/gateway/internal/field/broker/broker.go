// Package broker tries the brokers of a fleet as the gateway's uplink uses them: the name,
// the port, certificates, who is let in, what one may publish and subscribe to, and
// whether what the broker confirms is true.
//
// It does not disturb a gateway that is connected meanwhile: it has a client ID of its
// own, and publishes nothing but probes, which hubs ignore. It refuses to know where the
// identity comes from, and how checks are shown.
package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"time"

	"sensorgateway/cmd/gateway/internal/field/doctor"
	"sensorgateway/gateway/mqtt"
	"sensorgateway/gateway/uplink"
)

// Times of the checks of one broker.
const (
	stepTime = 10 * time.Second       // for a name, a port, and each packet and its answer
	lateTime = 500 * time.Millisecond // how long messages are awaited that a broker may pass on
	soon     = 14 * 24 * time.Hour    // a certificate that ends this soon should have been renewed
)

// Options are what is tried.
type Options struct {
	Identity func() (*uplink.Identity, error)
	Now      time.Time // by the machine's clock
	Synced   bool      // whether that is synchronised
	// Alone says that no gateway runs here: then a broker that lets in no other client ID is
	// tried with the gateway's own.
	Alone bool
}

// trial is the checks of one broker.
type trial struct {
	Options
	*doctor.Report
	id     *uplink.Identity
	broker *url.URL
	secret string // random: names that nobody else uses are made of it
}

// Check tries each broker, and adds what was found.
func Check(ctx context.Context, r *doctor.Report, o Options) {
	id, err := o.Identity()
	if errors.Is(err, fs.ErrPermission) {
		r.Add("identity", doctor.Skip, "run it as the user of the service: sudo -u gateway gateway doctor --uplink", "%v", err)
		return
	}
	if err != nil {
		r.Add("identity", doctor.Fail, "", "%v", err)
		return
	}
	r.Add("identity", doctor.Pass, "", "%s of the site %s, brokers: %s; keys of hubs: %d", id.Gateway.Name, id.Gateway.Site, names(id.Brokers), len(id.Keys()))
	if len(id.Keys()) == 0 {
		r.Add("hubs' keys", doctor.Warn, "name the file of keys in uplink.hub_keys, or enroll again", "there are none: no order of a hub is carried out, and nothing is sent live")
	}
	o.checkOwn(r, id)
	for _, broker := range id.Brokers {
		secret := make([]byte, 4)
		_, _ = rand.Read(secret) // it cannot fail
		t := &trial{Options: o, Report: r, id: id, broker: broker, secret: "x" + hex.EncodeToString(secret)}
		t.run(ctx)
	}
}

func names(brokers []*url.URL) string {
	var all []string
	for _, b := range brokers {
		all = append(all, b.Redacted())
	}
	return strings.Join(all, " ")
}

// add adds a check of this broker.
func (t *trial) add(name string, v doctor.Verdict, fix, format string, args ...any) {
	t.Add(name, v, fix, "%s: %s", t.broker.Redacted(), fmt.Sprintf(format, args...))
}

// run makes the checks, each after those that it needs. It ends if one fails without which
// nothing else can be tried.
func (t *trial) run(ctx context.Context) {
	if !t.checkName(ctx) || !t.checkPort(ctx) {
		return
	}
	s, ok := t.checkConnect(ctx)
	if !ok {
		return
	}
	defer func() { s.close() }() // the last one
	t.checkLimits(s)
	t.checkTruth(ctx, s)
	t.checkPublish(ctx, &s)
	t.checkForeign(ctx, &s)
	t.checkOrders(ctx, &s)
	t.checkEavesdrop(ctx, &s)
}

// checkOwn says how long the gateway's own certificate is valid, and by which clock.
func (o Options) checkOwn(r *doctor.Report, id *uplink.Identity) {
	if id.TLS == nil || len(id.TLS.Certificates) == 0 {
		return
	}
	now := o.Now
	if id.TLS.Time != nil {
		now = id.TLS.Time()
	}
	if ahead := now.Sub(o.Now); ahead > time.Minute {
		r.Add("clock", doctor.Warn, "set the clock: sudo timedatectl set-ntp true", "this machine's says %s, which is too early: certificates are checked as of %s", shown(o.Now), shown(now))
	} else if !o.Synced {
		r.Add("clock", doctor.Warn, "timedatectl says whether a time server is reached: sudo timedatectl set-ntp true", "not synchronised, it says %s: if that is wrong, certificates are refused", shown(o.Now))
	}
	leaf := id.TLS.Certificates[0].Leaf
	if leaf == nil {
		return
	}
	const renew = "see why it was not renewed (journalctl -u gateway), or enroll again"
	evidence := fmt.Sprintf("the gateway's is that of %s, valid from %s to %s", leaf.Subject.CommonName, day(leaf.NotBefore), day(leaf.NotAfter))
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		r.Add("certificate", doctor.Fail, renew, "%s: it has expired", evidence)
	case leaf.Subject.CommonName != id.Gateway.Name:
		r.Add("certificate", doctor.Warn, "enroll with that name, or correct uplink.name: brokers of the fleet know a gateway by its certificate", "%s, and the gateway is %s", evidence, id.Gateway.Name)
	case left < soon:
		r.Add("certificate", doctor.Warn, renew, "%s: it is near its end", evidence)
	default:
		r.Add("certificate", doctor.Pass, "", "%s", evidence)
	}
}

func day(t time.Time) string   { return t.UTC().Format(time.DateOnly) }
func shown(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkName asks the DNS.
func (t *trial) checkName(ctx context.Context) bool {
	host := t.broker.Hostname()
	if net.ParseIP(host) != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	begin := time.Now()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		t.add("name", doctor.Fail, "", "%v", mqtt.Explain(err))
		return false
	}
	t.add("name", doctor.Pass, "", "%s, after %s", strings.Join(addresses, " "), short(time.Since(begin)))
	return true
}

// checkPort opens a connection, and nothing more.
func (t *trial) checkPort(ctx context.Context) bool {
	begin := time.Now()
	plain := &url.URL{Scheme: "mqtt", Host: net.JoinHostPort(t.broker.Hostname(), mqtt.Port(t.broker))}
	c, err := mqtt.Dial(ctx, plain, mqtt.Options{WriteTimeout: stepTime})
	if err != nil {
		t.add("port", doctor.Fail, "", "%v", err)
		return false
	}
	took := time.Since(begin)
	to := c.RemoteAddr()
	if err := c.Close(); err != nil {
		t.add("port", doctor.Warn, "", "%v", err)
		return true
	}
	t.add("port", doctor.Pass, "", "%s answers after %s", to, short(took))
	return true
}

// secured notes the broker's certificate when the handshake has succeeded.
func (t *trial) secured(state tls.ConnectionState) {
	leaf := state.PeerCertificates[0]
	now := t.Now
	if t.id.TLS.Time != nil {
		now = t.id.TLS.Time()
	}
	evidence := fmt.Sprintf("%s, %s", tls.VersionName(state.Version), certificate(leaf))
	if leaf.NotAfter.Sub(now) < soon {
		t.add("tls", doctor.Warn, "renew the broker's certificate (gateway hub ca broker)", "%s: it is near its end", evidence)
		return
	}
	t.add("tls", doctor.Pass, "", "%s", evidence)
}

// certificate describes one.
func certificate(leaf *x509.Certificate) string {
	of := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		of = append(of, ip.String())
	}
	return fmt.Sprintf("the broker's certificate is for %s, of %s, valid from %s to %s", strings.Join(of, " "), leaf.Issuer.CommonName, day(leaf.NotBefore), day(leaf.NotAfter))
}

// short is a time of some milliseconds.
func short(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
