package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// TakenOver is the reason code with which a broker ends a connection because another has
// the same client ID (MQTT 5.0, section 3.14.2.1).
const TakenOver = 0x8E

// reasons are what reason codes say (MQTT 5.0, section 2.4).
var reasons = map[byte]string{
	0x10: "nobody subscribes to it", 0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x83: "implementation specific error",
	0x84: "it does not speak MQTT 5", 0x85: "the client ID is not valid", 0x86: "bad user name or password", 0x87: "not authorized",
	0x88: "it is unavailable", 0x89: "it is busy", 0x8A: "banned", 0x8B: "it is shutting down", 0x8D: "keep-alive timeout",
	TakenOver: "another connection has the same client ID", 0x8F: "the topic filter is not valid", 0x90: "the topic is not valid",
	0x93: "more messages than it takes at once", 0x94: "the topic alias is not valid", 0x95: "the packet is too large", 0x96: "too many messages",
	0x97: "a quota is used up", 0x98: "an administrator ended it", 0x99: "the payload's format is not valid", 0x9A: "it retains nothing",
	0x9B: "it does not know this QoS", 0x9C: "use another server", 0x9D: "the server has moved", 0x9F: "more connections than it takes at once", 0xA0: "the connection lasted too long",
}

// Reason says what a reason code means: "0x87, not authorized".
func Reason(code byte) string {
	if text := reasons[code]; text != "" {
		return fmt.Sprintf("0x%02x, %s", code, text)
	}
	return fmt.Sprintf("0x%02x", code)
}

// A Disconnected is the end of a connection that the broker has ended, with its reason.
type Disconnected byte

func (d Disconnected) Error() string {
	return "the broker ended the connection: " + Reason(byte(d))
}

// Explain adds to an error of a new connection what to do about it. It also explains errors
// of the first packet that is read: with TLS 1.3, only then is it known that the broker
// refuses the client's certificate.
func Explain(err error) error {
	if fix := fixOf(err); fix != "" {
		return fmt.Errorf("%w; fix: %s", err, fix)
	}
	return err
}

func fixOf(err error) string {
	var name *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "correct the name, or enter it in the DNS or /etc/hosts"
	case errors.As(err, &name):
		return "check the network and its DNS server (resolvectl query " + name.Name + ")"
	case errors.As(err, &authority):
		return "give the broker a certificate of the fleet's authority (gateway hub ca broker), or name the authority that it has"
	case errors.As(err, &host):
		return "connect to a name or address that is in the broker's certificate, or make one for this (gateway hub ca broker --host)"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the broker's certificate, or set this machine's clock, which says " + time.Now().UTC().Format(time.DateOnly)
	case errors.As(err, &plain):
		return "the broker does not speak TLS at this port: correct the port (8883), or write mqtt://"
	case strings.Contains(err.Error(), "revoked certificate"):
		return "the gateway was revoked: enroll it again, with a code for its name (gateway hub code --gateway NAME), and renew ca.crl at the broker"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "the broker does not take the gateway's certificate: check that it is of the broker's authority, not expired and not revoked"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start the broker there, or correct the port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "check the network: ip route"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "check the address, and that a firewall lets this port through"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the broker ended the connection without a reason: its log says why; it must speak MQTT 5, with TLS for mqtts:// and without it for mqtt://"
	}
	return ""
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
