package certificates

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"sync"
	"time"
)

// errRemoved is the end of a certificate whose authority was taken out of the file.
var errRemoved = errors.New("its authority is in tls.clients no longer")

// holders are the certificates that clients have shown, for as long as they are valid.
// There are never more than the authorities have made.
type holders struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*holder
}

type holder struct {
	shown []*x509.Certificate // the client's own first
	until time.Time
	valid context.Context
	end   context.CancelCauseFunc
}

// add returns a context that ends when a certificate, which is valid now, no longer is; nil
// if the authorities by which it is valid have been replaced: it must be verified again.
func (h *holders) add(shown []*x509.Certificate, until time.Time, current func() bool) context.Context {
	key := sha256.Sum256(shown[0].Raw)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !current() { // the recheck for the new ones has passed without this one
		return nil
	}
	if known := h.of[key]; known != nil {
		return known.valid
	}
	one := &holder{shown: shown, until: until}
	one.valid, one.end = context.WithCancelCause(context.Background())
	if h.of == nil {
		h.of = map[[sha256.Size]byte]*holder{}
	}
	h.of[key] = one
	return one.valid
}

// recheck ends those certificates that are not valid by these authorities.
func (h *holders) recheck(roots *x509.CertPool) { h.check(roots, func(*holder) bool { return true }) }

// expire ends those certificates that have expired by now.
func (h *holders) expire(roots *x509.CertPool) {
	now := time.Now()
	h.check(roots, func(one *holder) bool { return now.After(one.until) })
}

func (h *holders) check(roots *x509.CertPool, doubtful func(*holder) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, one := range h.of {
		if !doubtful(one) {
			continue
		}
		until, err := verify(one.shown, roots)
		if one.until = until; err == nil {
			continue
		}
		cause := errRemoved
		if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
			cause = context.DeadlineExceeded
		}
		one.end(cause)
		delete(h.of, key)
	}
}
