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

// SchemeError says that the URL is ws:// and the server speaks TLS, or that it is
// wss:// and the server does not. Another try would not change it.
type SchemeError struct {
	URL string // that would work
	Err error
}

func (e *SchemeError) Unwrap() error { return e.Err }

func (e *SchemeError) Error() string {
	speaks := "does not speak TLS"
	if strings.HasPrefix(e.URL, "wss:") {
		speaks = "speaks TLS"
	}
	return fmt.Sprintf("the server %s: write %s (%v)", speaks, e.URL, e.Err)
}

// dial opens the socket and does the handshake, until deadline. A server that
// refuses the subprotocol is asked again without one.
func (c *Client) dial(ctx context.Context, deadline time.Time) (*websocket.Conn, error) {
	if c.bare || c.o.Subprotocol == "" {
		return c.handshake(ctx, deadline, nil)
	}
	ws, err := c.handshake(ctx, deadline, []string{c.o.Subprotocol})
	var refused *ServerError
	if errors.As(err, &refused) && refused.Code == http.StatusBadRequest {
		if bare, failed := c.handshake(ctx, deadline, nil); failed == nil {
			return bare, nil
		}
	}
	return ws, err
}

func (c *Client) handshake(ctx context.Context, deadline time.Time, subprotocols []string) (*websocket.Conn, error) {
	opening, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	stop := func() bool { return true }
	dialer := websocket.Dialer{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: c.o.TLS,
		Subprotocols:    subprotocols,
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
	ws, answer, err := dialer.DialContext(opening, c.o.URL, c.o.Header)
	inTime := stop()
	switch {
	case err != nil && answer != nil:
		return nil, c.refusal(answer, err)
	case err != nil:
		err = fmt.Errorf("connect to %s: %w", c.url.Host, c.otherScheme(err))
		var scheme *SchemeError
		var certificate *tls.CertificateVerificationError
		if errors.As(err, &certificate) || errors.As(err, &scheme) {
			return nil, finalError{err}
		}
		return nil, err
	case !inTime:
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
func (c *Client) refusal(answer *http.Response, err error) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %w", err)
	}
	body, _ := io.ReadAll(answer.Body) // gorilla has read it, and a kilobyte at most
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	refused := &ServerError{Code: answer.StatusCode, Reason: line}
	switch {
	case refused.Code == http.StatusUnauthorized || refused.Code == http.StatusForbidden:
		return finalError{refused}
	case refused.Code == http.StatusBadRequest && c.url.Scheme == "ws" && strings.Contains(string(body), "HTTPS"):
		return finalError{&SchemeError{c.withScheme("wss"), refused}} // as Go, nginx and Apache say it
	}
	return refused
}

// otherScheme explains an error of a connection whose server speaks TLS when we do
// not, or the other way round.
func (c *Client) otherScheme(err error) error {
	var plain tls.RecordHeaderError
	switch {
	case c.url.Scheme == "wss" && errors.As(err, &plain):
		return &SchemeError{c.withScheme("ws"), err}
	case c.url.Scheme == "ws" && strings.Contains(err.Error(), "malformed HTTP response \"\\x15\\x03"): // a TLS alert, RFC 8446, section 5.1
		return &SchemeError{c.withScheme("wss"), err}
	case c.url.Scheme == "ws" && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
		return fmt.Errorf("%w (if it speaks TLS, write %s)", err, c.withScheme("wss"))
	}
	return err
}

func (c *Client) withScheme(scheme string) string {
	u := *c.url
	u.Scheme = scheme
	return u.String()
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
