package certificates

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// watch runs test in a bubble in which the pair of first.example is watched.
func watch(t *testing.T, validFor time.Duration, test func(f files, c *Set, l *logged)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		f.putPair(pair(t, "first.example", -time.Hour, validFor))
		c, l := f.load()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Watch(ctx) }()
		test(f, c, l)
		cancel()
		<-done
	})
}

// pass lets time pass, until what is due then has happened.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWatch(t *testing.T) {
	expect := func(t *testing.T, c *Set, l *logged, name string, lines ...string) {
		t.Helper()
		if got := shown(t, c); got != name {
			t.Errorf("%s is shown, want %s", got, name)
		}
		got := l.take()
		for i, want := range lines {
			if len(got) != len(lines) || !strings.Contains(got[i], want) {
				t.Errorf("logged %q, want %q", got, lines)
				return
			}
		}
		if len(got) > len(lines) {
			t.Errorf("logged %q", got)
		}
	}
	t.Run("replaced", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			pass(time.Hour)
			expect(t, c, l, "first.example")
			f.putPair(pair(t, "second.example", 0, 90*day))
			pass(10 * time.Second)
			expect(t, c, l, "first.example") // it might still be written
			pass(10 * time.Second)
			expect(t, c, l, "second.example", "new certificate")
			pass(time.Hour)
			expect(t, c, l, "second.example")
		})
	})
	t.Run("one after the other", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			cert, key := pair(t, "second.example", 0, 90*day)
			f.put(f.cert, cert)
			pass(time.Hour)
			expect(t, c, l, "first.example", "does not match") // said once
			f.put(f.key, key)
			pass(20 * time.Second)
			expect(t, c, l, "second.example", "new certificate")
		})
	})
	t.Run("written in place, slowly", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			cert, key := pair(t, "second.example", 0, 90*day)
			f.put(f.key, key)
			for n := 0; n < len(cert); n += 100 {
				if err := os.WriteFile(f.cert, cert[:n], 0o644); err != nil {
					t.Fatal(err)
				}
				pass(10 * time.Second)
				expect(t, c, l, "first.example")
			}
			f.put(f.cert, cert)
			pass(20 * time.Second)
			expect(t, c, l, "second.example", "new certificate")
		})
	})
	t.Run("gone and back", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			for _, path := range []string{f.cert, f.key} {
				if err := os.Rename(path, path+".away"); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Hour)
			expect(t, c, l, "first.example", "the old one is used")
			for _, path := range []string{f.cert, f.key} {
				if err := os.Rename(path+".away", path); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Hour)
			expect(t, c, l, "first.example") // nothing new
		})
	})
	t.Run("after a reload by hand", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			f.put(f.key, []byte("nonsense"))
			if err := c.Reload(); err == nil {
				t.Error("nonsense is taken for a key")
			}
			pass(time.Hour)
			expect(t, c, l, "first.example") // who reloaded has heard
		})
	})
	t.Run("too early", func(t *testing.T) {
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			f.putPair(pair(t, "second.example", time.Hour, 90*day))
			pass(time.Hour - time.Minute)
			expect(t, c, l, "first.example", "fix: check the clock") // said once
			pass(2 * time.Minute)
			expect(t, c, l, "second.example", "new certificate")
		})
	})
	t.Run("by a symbolic link", func(t *testing.T) {
		if runtime.GOOS == "windows" {
			t.Skip("needs a privilege")
		}
		watch(t, 90*day, func(f files, c *Set, l *logged) {
			cert, key := pair(t, "second.example", 0, 90*day)
			archive := newFiles(t)
			archive.putPair(cert, key)
			for from, to := range map[string]string{f.cert: archive.cert, f.key: archive.key} {
				if err := os.Remove(from); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(to, from); err != nil {
					t.Fatal(err)
				}
			}
			pass(20 * time.Second)
			expect(t, c, l, "second.example", "new certificate")
			archive.putPair(pair(t, "third.example", 0, 90*day))
			pass(20 * time.Second)
			expect(t, c, l, "third.example", "new certificate")
		})
	})
}

func TestReminder(t *testing.T) {
	watch(t, 15*day, func(f files, c *Set, l *logged) {
		pass(day - time.Minute)
		if lines := l.take(); len(lines) != 0 {
			t.Errorf("15 days before the end: %q", lines)
		}
		pass(2 * day)
		if lines := l.take(); len(lines) != 2 || !strings.Contains(lines[0], "expires soon") || !strings.Contains(lines[0], "2000-01-16") {
			t.Errorf("two days later: %q", lines)
		}
		f.putPair(pair(t, "second.example", 0, 90*day))
		pass(2 * day)
		if lines := l.take(); len(lines) != 1 || !strings.Contains(lines[0], "new certificate") {
			t.Errorf("renewed: %q", lines)
		}
	})
	watch(t, time.Hour, func(f files, c *Set, l *logged) {
		pass(25 * time.Hour)
		if lines := l.take(); len(lines) != 2 || !strings.Contains(lines[1], "has expired on 2000-01-01") {
			t.Errorf("after its end: %q", lines)
		}
	})
}

// TestWatchClients holds that a new file of authorities is taken over without a signal,
// and that one that expires is logged once a day.
func TestWatchClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newAuthority(t, "first")
		f := newFiles(t)
		f.putPair(pair(t, "gateway.example", -time.Hour, 900*day))
		clients, l := filepath.Join(f.dir, "clients.crt"), &logged{}
		f.put(clients, first.pem())
		c, err := Read(f.cert, f.key, clients, slog.New(slog.NewTextHandler(l, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Watch(ctx) }()
		defer func() { cancel(); <-done }()
		pass(day + time.Minute) // an authority of the tests is good for an hour
		if lines := l.take(); len(lines) != 2 || !strings.Contains(lines[0], "an authority of clients' certificates expires") || !strings.Contains(lines[0], "CN=first") {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
		second := &authority{t: t}
		made := second.make(&x509.Certificate{Subject: pkix.Name{CommonName: "second"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			NotBefore: time.Now(), NotAfter: time.Now().Add(900 * day)})
		second.cert, second.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
		f.put(clients, second.pem())
		pass(2 * watchEvery)
		young := second.client("ayşe")
		if name, _, err := c.Client(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{young.Leaf}}); name != "ayşe" {
			t.Errorf("the new authority's: %q, %v", name, err)
		}
		f.put(clients, []byte("no PEM"))
		pass(time.Hour)
		if lines := l.take(); len(lines) != 1 || !strings.Contains(lines[0], "the old authorities are used") {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
	})
}

// TestClientsReadAgain holds that a failed read of the authorities is repeated until it
// succeeds, although the file is the same as before, and is logged once.
func TestClientsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newAuthority(t, "first"), newAuthority(t, "second")
		f, c := withClients(t, first)
		l := &logged{}
		c.log = slog.New(slog.NewTextHandler(l, nil))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Watch(ctx) }()
		defer func() { cancel(); <-done }()
		cert := first.client("ayşe")
		_, removed, err := c.Client(handshake(t, c, &cert))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // what the start logs is there
		l.take()

		f.put(c.clientsFile, bytes.Repeat([]byte("x"), len(second.pem())))
		info, err := os.Stat(c.clientsFile)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if lines := l.take(); removed.Err() != nil || len(lines) != 1 || !strings.Contains(lines[0], "the old authorities are used") {
			t.Errorf("a read has failed: %v, logged %q", context.Cause(removed), lines)
		}
		// With the time and the size of before, it is the same file of which a read now succeeds.
		if err := errors.Join(os.WriteFile(c.clientsFile, second.pem(), 0o600), os.Chtimes(c.clientsFile, time.Time{}, info.ModTime())); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if lines := l.take(); removed.Err() == nil || len(lines) != 1 || !strings.Contains(lines[0], "are read again") {
			t.Errorf("it can be read again: %v, logged %q", context.Cause(removed), lines)
		}
	})
}
