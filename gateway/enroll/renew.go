package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"sensorgateway/gateway/statefile"
)

// Times of a renewal.
const (
	renewCheck = time.Hour      // how often it is checked whether a renewal is due, and how soon a failed one is repeated
	renewWarn  = 24 * time.Hour // how often a failure is logged
)

// Renew renews the device's certificate whenever two thirds of its time have passed, until
// ctx ends. A device that has not enrolled waits for that.
func (d Device) Renew(ctx context.Context, log *slog.Logger) error {
	tick := time.NewTicker(renewCheck)
	defer tick.Stop()
	var warned time.Time
	for {
		switch expires, renewed, err := d.renewIfDue(ctx); {
		case renewed && err == nil:
			log.Info("the certificate of the fleet was renewed", "expires", expires.Format(time.DateOnly))
		case err != nil && ctx.Err() == nil && d.now().Sub(warned) >= renewWarn:
			warned = d.now()
			log.Warn("the certificate of the fleet cannot be renewed; it is tried again every hour", "expires", expires.Format(time.DateOnly), "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// renewIfDue renews the certificate if it is time, and returns when it expires.
func (d Device) renewIfDue(ctx context.Context) (expires time.Time, due bool, err error) {
	m, err := d.Membership()
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	pair, err := LoadPair(filepath.Join(d.Dir, CertFile), filepath.Join(d.Dir, KeyFile))
	if err != nil {
		return time.Time{}, false, fmt.Errorf("%w; fix: enroll this device again", err)
	}
	leaf := pair.Leaf
	expires = leaf.NotAfter
	if at := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2); d.now().Before(at) {
		return expires, false, nil
	}
	return expires, true, d.renew(ctx, m, pair, &expires)
}

// renew asks for another certificate for the same key, and authenticates with the old one.
// Key and certificate match whenever it is interrupted, because the key does not change.
func (d Device) renew(ctx context.Context, m *Membership, pair tls.Certificate, expires *time.Time) error {
	hub, err := url.Parse(m.Hub)
	if err != nil {
		return err
	}
	data, err := statefile.Read(d.Dir, AuthorityFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s: no PEM; fix: enroll this device again", filepath.Join(d.Dir, AuthorityFile))
	}
	var authority *x509.Certificate
	trust := d.trust(pinOf(block.Bytes), &authority)
	trust.Certificates = []tls.Certificate{pair}
	renewed, err := d.ask(ctx, hub, RenewPath, nil, trust)
	if err != nil {
		return err
	}
	renewed.Hub = m.Hub
	unlock, err := statefile.Lock(d.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || renewed.Name != m.Name {
		return errors.New("the hub answered for another gateway")
	}
	if err := d.store(renewed, key, authority); err != nil {
		return err
	}
	block, _ = pem.Decode([]byte(renewed.Certificate)) // store has checked it
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	*expires = cert.NotAfter
	return nil
}
