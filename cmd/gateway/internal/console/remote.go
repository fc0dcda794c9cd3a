package console

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/credential"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

const defaultPort = "8765" // of a gateway without TLS

// remote are the flags of the commands that connect to a gateway.
type remote struct {
	ca, cert, key, tokenFile  string
	getenv                    func(string) string
	headers                   []string
	openTimeout, closeTimeout time.Duration
}

func (r *remote) flags(env Env, f *pflag.FlagSet) {
	r.getenv = env.Getenv
	f.StringVar(&r.tokenFile, "token-file", "", "`file` with the token to show (default: $GATEWAY_TOKEN, else the gateway's line HOST:PORT TOKEN in ~/.config/gateway/tokens)")
	f.StringVar(&r.ca, "ca", "", "PEM `file` of a certificate authority to trust besides the system's, for wss://")
	f.StringVar(&r.cert, "client-cert", "", "PEM `file` of a certificate to show, for wss://")
	f.StringVar(&r.key, "client-key", "", "PEM `file` of its key")
	f.StringArrayVar(&r.headers, "header", nil, "`'Name: value'` to send with the handshake; can be given again")
	f.DurationVar(&r.openTimeout, "open-timeout", 10*time.Second, "for connecting, until the gateway's first message")
	f.DurationVar(&r.closeTimeout, "close-timeout", 5*time.Second, "for the gateway to confirm the close")
}

// options are the client's for a URL as people write it.
func (r *remote) options(address string) (client.Options, error) {
	o := client.Options{OpenTimeout: r.openTimeout, CloseTimeout: r.closeTimeout}
	u, err := completeURL(address)
	if err != nil {
		return o, UsageError{err}
	}
	o.URL = u.String()
	if o.Header, err = parseHeaders(r.headers); err != nil {
		return o, UsageError{err}
	}
	if o.Header.Get("Authorization") == "" {
		if token, err := credential.Find(r.tokenFile, u, r.getenv); err != nil {
			return o, UsageError{err}
		} else if token != "" {
			o.Header.Set("Authorization", "Bearer "+token)
		}
	}
	if r.openTimeout <= 0 || r.closeTimeout <= 0 {
		return o, UsageError{errors.New("--open-timeout and --close-timeout must be longer than nothing")}
	}
	o.TLS, err = r.tls(u)
	return o, err
}

// tls is what the flags say of TLS with the gateway at u, nil if nothing.
func (r *remote) tls(u *url.URL) (*tls.Config, error) {
	switch {
	case (r.cert == "") != (r.key == ""):
		return nil, UsageError{errors.New("--client-cert and --client-key go together")}
	case r.ca == "" && r.cert == "":
		return nil, nil
	case u.Scheme != "wss":
		return nil, UsageError{fmt.Errorf("--ca and --client-cert go with wss://, and %s is not encrypted", u)}
	}
	config := &tls.Config{}
	if r.cert != "" {
		pair, err := tls.LoadX509KeyPair(r.cert, r.key)
		if err != nil {
			return nil, fmt.Errorf("--client-cert, --client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if r.ca == "" {
		return config, nil
	}
	pem, err := os.ReadFile(r.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool() // a system that has none
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca %s: no certificate in PEM form in it", r.ca)
	}
	return config, nil
}

// explain makes an error of the client fit for a terminal, and adds the fix if
// there is one.
func (r *remote) explain(err error) error {
	if err == nil {
		return nil
	}
	return shownError{withFix(err)}
}

// withFix adds the fix to an error of a connection, if there is one.
func withFix(err error) error {
	if fix := connectionFix(err); fix != "" {
		return fmt.Errorf("%w (%s)", err, fix)
	}
	return err
}

// connectionFix is what helps if there is no gateway at an address, or if its certificate
// was not accepted, "" if that is not what err is about.
func connectionFix(err error) string {
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the gateway, or name its host and port"
	case errors.As(err, &name):
		return "check the name, or write the gateway's address"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "check the address, and this machine's network"
	}
	return certificateFix(err)
}

// certificateFix is what helps if a certificate was not accepted, "" if that is not
// what err is about.
func certificateFix(err error) string {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "name the one to trust with --ca FILE"
	case errors.As(err, &other):
		names := slices.Clone(other.Certificate.DNSNames)
		for _, ip := range other.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) > 0 {
			return fmt.Sprintf("connect to %s, or give the server a certificate for %s: gateway cert --host %[2]s", phrase.OneOf(names), other.Host)
		}
		// RFC 9525, section 2: the common name is no name of a server any more.
		return fmt.Sprintf("the certificate names its server in the common name only, %s, which clients no longer read; give the server one with subject alternative names: gateway cert --host %s",
			phrase.Quote(other.Certificate.Subject.CommonName), other.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew it, or set the clock of this machine: it is " + time.Now().UTC().Format(time.RFC3339)
	}
	return ""
}

// subprotocolFlag is what a command asks the server to speak.
type subprotocolFlag struct{ name string }

const noSubprotocol = "none"

func (s *subprotocolFlag) flag(f *pflag.FlagSet) {
	f.StringVar(&s.name, "subprotocol", wire.ReadingsV2, "to ask for: readings.v2, readings.json, readings.v1 or none; a server that knows none is understood too, if it sends readings.v1 or JSON")
}

// option is the flag's value as the client takes it.
func (s *subprotocolFlag) option() (string, error) {
	choice := []string{wire.ReadingsV2, wire.ReadingsJSON, wire.ReadingsV1, noSubprotocol}
	switch {
	case s.name == "" || s.name == noSubprotocol:
		return "", nil
	case slices.Contains(choice, s.name):
		return s.name, nil
	}
	return "", fmt.Errorf("--subprotocol %s: it is %s", phrase.Quote(s.name), phrase.OneOf(choice))
}

// subprotocolNote says how messages are read if the server did not choose the
// subprotocol that it was offered; "" if it did.
func subprotocolNote(asked, chosen string) string {
	if chosen != "" || asked == "" || asked == wire.ReadingsV1 {
		return ""
	}
	return fmt.Sprintf("the server does not know the subprotocol %s: what it sends is read as %s", asked, wire.ReadingsV1)
}

// shownError is an error that may have text from the network in it.
type shownError struct{ error }

func (e shownError) Error() string { return Printable(e.error.Error()) }
func (e shownError) Unwrap() error { return e.error }

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// completeURL takes ws:// and wss:// URLs, http:// and https:// ones in their place,
// and a host or host:port; the default port is the gateway's.
func completeURL(s string) (*url.URL, error) {
	plain := !hasScheme.MatchString(s)
	whole := s
	if plain {
		if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
			whole = "[" + s + "]"
		}
		whole = "ws://" + whole
	}
	u, err := url.Parse(whole)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL (write ws://HOST:PORT/ or HOST:PORT)", phrase.Quote(s))
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("%s: URLs of a gateway begin with ws:// or wss://", phrase.Quote(u.Redacted()))
	}
	if plain {
		if u.Hostname() == "" {
			u.Host = "localhost" + u.Host
		}
		if u.Port() == "" {
			u.Host = strings.TrimSuffix(u.Host, ":") + ":" + defaultPort
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// A field name of HTTP is a token (RFC 9110, section 5.6.2).
var headerForm = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x1f\x7f]*)$")

func parseHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for _, line := range lines {
		m := headerForm.FindStringSubmatch(line)
		if m == nil {
			return nil, errors.New("--header wants 'Name: value'") // without the value: it may be a secret
		}
		h.Add(m[1], strings.TrimRight(m[2], " "))
	}
	return h, nil
}

// oneURL refuses other arguments than a URL.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return UsageError{fmt.Errorf("%s takes the URL of a gateway, such as ws://localhost:%s/", cmd.Name(), defaultPort)}
	}
	return nil
}

// countdown is d for people, never too little: in tenths of a second, and from a
// minute on in seconds.
func countdown(d time.Duration) string {
	const tenth = 100 * time.Millisecond
	if tenths := (max(d, 0) + tenth - 1) / tenth; tenths < 600 {
		return fmt.Sprintf("%d.%d s", tenths/10, tenths%10)
	}
	s := int64((d + time.Second - 1) / time.Second)
	switch {
	case s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
