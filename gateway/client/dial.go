package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// ServerError is how the server refused the handshake or closed the connection.
// Another try would not change 401 and 403, and 1008 (unknown endpoint, nick
// taken, rate, token revoked), so these end [Client.Run].
type ServerError struct {
	Code   int    // HTTP status or close code
	Reason string // as the server put it, so not fit for a terminal
}

func (e *ServerError) Error() string {
	if e.Code < 1000 {
		return fmt.Sprintf("handshake refused: %d %s: %q", e.Code, http.StatusText(e.Code), e.Reason)
	}
	return fmt.Sprintf("closed by the server: %d %q", e.Code, e.Reason)
}

// finalError ends [Client.Run].
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// dial opens the socket and does the handshake, until deadline.
func (c *Client) dial(ctx context.Context, deadline time.Time) (*websocket.Conn, error) {
	opening, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	stop := func() bool { return true }
	dialer := websocket.Dialer{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: c.o.TLS,
		// gorilla sees to the deadline, but a cancelled context does not interrupt
		// its handshake.
		NetDialContext: func(opening context.Context, network, addr string) (net.Conn, error) {
			conn, err := c.netDial(opening, network, addr)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
	if c.o.Subprotocol != "" {
		dialer.Subprotocols = []string{c.o.Subprotocol}
	}
	ws, answer, err := dialer.DialContext(opening, c.o.URL, c.o.Header)
	undisturbed := stop()
	switch {
	case err != nil && answer != nil:
		return nil, refusal(answer, err)
	case err != nil:
		err = fmt.Errorf("connect to %s: %w", c.url.Host, err)
		var certificate *tls.CertificateVerificationError
		if errors.As(err, &certificate) {
			return nil, finalError{err}
		}
		return nil, err
	case !undisturbed:
		_ = ws.Close()
		return nil, ctx.Err()
	case ws.Subprotocol() != "" && ws.Subprotocol() != c.o.Subprotocol: // gorilla does not compare them
		_ = ws.Close()
		return nil, finalError{fmt.Errorf("%s: the server chose subprotocol %q, want %q", c.url.Host, ws.Subprotocol(), c.o.Subprotocol)}
	}
	return ws, nil
}

// refusal is the error for a handshake that was answered, but not with 101 as
// RFC 6455 has it.
func refusal(answer *http.Response, err error) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %w", err)
	}
	body, _ := io.ReadAll(answer.Body) // gorilla has read it, and a kilobyte at most
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	refused := &ServerError{Code: answer.StatusCode, Reason: line}
	if refused.Code == http.StatusUnauthorized || refused.Code == http.StatusForbidden {
		return finalError{refused}
	}
	return refused
}

var retryForm = regexp.MustCompile(`\bretry_ms=(\d{1,9})\b`)

// closeOutcome is what an error of reading says about how the connection ended.
// One that is no close frame is left as it is.
func closeOutcome(err error) (outcome, error) {
	var closed *websocket.CloseError
	var timeout net.Error // gorilla hides os.ErrDeadlineExceeded
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return outcome{}, fmt.Errorf("the server is silent: %w", err)
	case !errors.As(err, &closed):
		return outcome{}, err
	case closed.Code == websocket.CloseAbnormalClosure: // gorilla's word for it
		return outcome{}, fmt.Errorf("connection lost: %w", io.ErrUnexpectedEOF)
	}
	closure := &ServerError{Code: closed.Code, Reason: closed.Text}
	if closed.Code == wire.ClosePolicy {
		return outcome{}, finalError{closure}
	}
	if m := retryForm.FindStringSubmatch(closed.Text); m != nil && closed.Code == wire.CloseServiceRestart {
		ms, _ := strconv.Atoi(m[1]) // nine digits at most
		return outcome{retry: new(time.Duration(ms) * time.Millisecond)}, closure
	}
	return outcome{}, closure
}
