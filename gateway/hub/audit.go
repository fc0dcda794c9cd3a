package hub

import (
	"cmp"
	"time"

	"sensorgateway/gateway/fleet"
)

// ofDevice forgets the end of the audit log, and what was wrong with it, if they are of a device
// that another one has replaced: that one begins a log of its own.
func (r *Remote) ofDevice(device string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if device == "" || device == r.device {
		return
	}
	if r.device != "" { // else its file is of an older program
		r.head, r.audit = nil, ""
		r.touch()
	}
	r.device, r.dirty = device, true
}

// auditHead compares the end of the gateway's audit log with the last one. Records are only
// ever added: if the end is earlier, or has another hash, the log was changed. again: the
// broker may have sent this message before, so an earlier end means nothing.
func (r *Remote) auditHead(h fleet.AuditHead, again bool) {
	now := r.registry.o.Now()
	r.mu.Lock()
	last := *cmp.Or(r.head, &h) // the first is compared with itself
	if h.Seq < last.Seq && again {
		r.mu.Unlock()
		return
	}
	wrong := h.Wrong(last)
	r.head, r.dirty = &h, true
	if wrong != "" {
		r.audit = wrong + ", seen on " + now.UTC().Format(time.RFC3339)
		r.touch()
	}
	r.mu.Unlock()
	if wrong != "" {
		r.registry.o.Log.Warn("a gateway's audit log was changed or truncated; fix: compare gateway audit verify on the device with its backups", "gateway", r.name, "what", wrong)
	}
}
