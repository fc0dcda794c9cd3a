package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/gateway/certificates"
)

// buildCertificates loads the certificate; without TLS there is none.
func (g *running) buildCertificates() (err error) {
	if g.cfg.TLS == nil {
		return nil
	}
	if g.certificates, err = certificates.Read(g.cfg.TLS.Cert, g.cfg.TLS.Key, g.cfg.TLS.Clients, g.log); err != nil {
		wrong := config.Error{{File: g.cfg.File, Line: g.cfg.TLS.Line, Text: "tls: " + err.Error()}}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return wrong
		}
		return errors.New(wrong.Error()) // somebody may be replacing the files one by one: systemd starts it again
	}
	return nil
}

// watchCertificates loads the certificate again when its files change, and on
// SIGHUP, which without TLS does nothing.
func (g *running) watchCertificates(ctx context.Context) error {
	hangup := make(chan os.Signal, 1) // size 1: those that come while one is handled mean the same
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if g.certificates == nil {
		<-ctx.Done()
		return nil
	}
	var watch errgroup.Group
	watch.Go(func() error { g.certificates.Watch(ctx); return nil })
	defer func() { _ = watch.Wait() }() // returns no error
	for {
		select {
		case <-hangup:
			if err := g.certificates.Reload(); err != nil {
				g.log.Error("certificate not reloaded: the old one stays", "err", err)
			} else {
				g.log.Info("certificate reloaded")
			}
		case <-ctx.Done():
			return nil
		}
	}
}
