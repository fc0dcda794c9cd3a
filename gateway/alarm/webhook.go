package alarm

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sensorgateway/gateway/atomicfile"
	"sensorgateway/wire"
)

const (
	// maxQueue is how many deliveries can wait for the receiver. If there are more, the oldest
	// is dropped: the newest tell the present state.
	maxQueue = 100
	// postTime is how long the receiver has to answer.
	postTime = 10 * time.Second
	// The pause after a failed delivery doubles from the minimum to the maximum.
	minPostPause = 500 * time.Millisecond
	maxPostPause = 5 * time.Minute
	// maxAnswer is how much of an answer is read, for the connection to be used again.
	maxAnswer = 64 << 10 // bytes
	// secretPrefix begins a secret in base64, as the libraries of Standard Webhooks write it.
	secretPrefix = "whsec_"
)

// Webhook is where alarms are posted.
type Webhook struct {
	URL        string // http or https
	SecretFile string // read for each delivery: a new secret needs no restart
	Gateway    string // its name

	transport http.RoundTripper // nil: one that connects
}

// A delivery is an event that is posted until the receiver has taken it. Its ID stays
// the same: the receiver can drop what it has already.
type delivery struct {
	ID    string     `json:"id"`
	Event wire.Event `json:"event"`
}

// Deliveries is what became of the deliveries.
type Deliveries struct {
	Delivered, Failed, Dropped uint64 // failed: tries
	Waiting                    int
}

// Deliveries returns what became of the deliveries; false if there is no webhook.
func (a *Alarms) Deliveries() (Deliveries, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := a.counts
	counts.Waiting = len(a.queue)
	return counts, a.opts.Webhook != nil
}

// post has an event posted, and waits for nothing.
func (a *Alarms) post(e wire.Event) {
	if a.opts.Webhook == nil {
		return
	}
	a.mu.Lock()
	a.queue = append(a.queue, delivery{rand.Text(), e})
	full := len(a.queue) > maxQueue
	if full {
		a.queue = append(a.queue[:0], a.queue[1:]...)
		a.counts.Dropped++
	}
	first := a.counts.Dropped%maxQueue == 1
	a.mu.Unlock()
	if full && first {
		a.opts.Log.Warn("the webhook accepts nothing, and too many alarms wait for it: the oldest are dropped", "waiting", maxQueue)
	}
	signal(a.posts)
}

// head returns the delivery that is due.
func (a *Alarms) head() (d delivery, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return d, false
	}
	return a.queue[0], true
}

// delivered notes what became of a try. Meanwhile the delivery may have been dropped.
func (a *Alarms) delivered(d delivery, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.counts.Failed++
		return
	}
	a.counts.Delivered++
	if len(a.queue) > 0 && a.queue[0].ID == d.ID {
		a.queue = append(a.queue[:0], a.queue[1:]...)
	}
}

// deliver posts what is queued, one after the other, until ctx ends. What is left is
// stored.
func (a *Alarms) deliver(ctx context.Context) {
	if a.opts.Webhook == nil {
		return
	}
	if _, err := a.opts.Webhook.secret(); err != nil { // warn at the start, not only when it is needed
		a.opts.Log.Warn("alarms cannot be posted to the webhook", "err", err)
	}
	client := a.opts.Webhook.client()
	defer client.CloseIdleConnections()
	pause := time.Duration(0)
	var due <-chan time.Time // nil: nothing waits
	for {
		d, some := a.head()
		if some && due == nil {
			due = time.After(pause)
		}
		select {
		case <-due:
			due = nil
		case <-a.posts:
			continue
		case <-ctx.Done():
			return
		}
		err := a.opts.Webhook.post(ctx, client, d)
		if ctx.Err() != nil {
			return
		}
		a.delivered(d, err)
		switch {
		case err != nil && pause == 0:
			a.opts.Log.Warn("an alarm cannot be posted to the webhook; it is tried again", "alarm", d.Event.Alarm, "state", d.Event.State, "err", err)
		case err == nil && pause > 0:
			a.opts.Log.Info("alarms can be posted to the webhook again", "alarm", d.Event.Alarm, "state", d.Event.State)
		}
		if err == nil {
			pause = 0
			signal(a.dirty)
			continue
		}
		pause = min(max(2*pause, minPostPause), maxPostPause)
	}
}

// client returns a client with a time limit for each step. It follows no redirect: it
// posts only where the configuration says.
func (w *Webhook) client() *http.Client {
	c := &http.Client{
		Timeout: postTime, Transport: w.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: postTime}).DialContext, TLSHandshakeTimeout: postTime,
			MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true,
		}
	}
	return c
}

// post posts a delivery as Standard Webhooks has it (https://www.standardwebhooks.com):
// the HMAC-SHA256 is that of the ID, the time and the body, with dots between them.
func (w *Webhook) post(ctx context.Context, client *http.Client, d delivery) error {
	secret, err := w.secret()
	if err != nil {
		return err
	}
	body := w.body(d)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "gateway")
	r.Header.Set("Webhook-Id", d.ID)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", sign(secret, d.ID, at, body))
	answer, err := client.Do(r)
	if err != nil {
		if whole, ok := errors.AsType[*url.Error](err); ok {
			err = whole.Err
		}
		return fmt.Errorf("%s: %w", r.URL.Host, err) // a path or a query can be a secret
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // its status says all
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return fmt.Errorf("%s answers %s, and no redirect is followed; fix: write the address that it leads to into the configuration", r.URL.Host, answer.Status)
	case answer.StatusCode < 200 || answer.StatusCode >= 300:
		return fmt.Errorf("%s answers %s", r.URL.Host, answer.Status)
	}
	return nil
}

// body is what is posted: the event's message, as clients have it, with the ID of the
// delivery and the gateway's name.
func (w *Webhook) body(d delivery) []byte {
	return wire.JSON(struct {
		Type    string     `json:"type"`
		ID      string     `json:"id"`
		Gateway string     `json:"gateway"`
		Payload wire.Event `json:"payload"`
	}{wire.TypeEvent, d.ID, w.Gateway, d.Event})
}

func sign(secret []byte, id, at string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// secret reads the key of the signatures.
func (w *Webhook) secret() ([]byte, error) {
	data, err := atomicfile.Read(w.SecretFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; fix: let the user who runs the gateway read it, or correct webhook.secret_file", err)
	}
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(data))
	encoded, isEncoded := strings.CutPrefix(text, secretPrefix)
	switch {
	case text == "":
		return nil, fmt.Errorf("%s has no secret in it; fix: openssl rand -base64 32 > %[1]s", w.SecretFile)
	case !isEncoded:
		return []byte(text), nil
	}
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s begins with %s, and no base64 follows; fix: write a secret of your own", w.SecretFile, secretPrefix)
	}
	return secret, nil
}
