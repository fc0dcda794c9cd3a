package hub

const twinText = "two devices connect as this gateway, in turn; fix: give one of them a name of its own: gateway hub code, and gateway enroll --force there"

// sawStart takes the nonce of a hello.
func (r *Remote) sawStart(nonce string) {
	r.mu.Lock()
	two, news := r.twins.Saw(nonce, r.registry.o.Now())
	if two {
		r.touch()
	}
	r.mu.Unlock()
	if news {
		r.registry.o.Log.Warn(twinText, "gateway", r.name)
	}
}
