package setup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/access"
	"sensorgateway/gateway/atomicfile"
)

const (
	certName = "gateway.crt"
	keyName  = "gateway.key"

	maxCertDays = 3650
)

// certOptions are the flags of cert.
type certOptions struct {
	dir   string
	hosts []string
	days  int
	force bool

	client string // "": the pair is the gateway's
}

// Cert makes a certificate for a first try of TLS. parseHost checks a name or an
// address of this machine, and returns it as a browser shows it.
func Cert(env console.Env, parseHost func(string) (string, error)) *cobra.Command {
	var o certOptions
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make a certificate for a first try of wss://",
		Long: "Makes a certificate that nobody has signed but itself, and its key, for a first try of TLS. It is\n" +
			"for this machine's names and addresses; clients have to be told to trust it.\n\n" +
			"With --client, makes a certificate by which a client is known as the holder of the token of that name, and\n" +
			"for the first one an authority, " + authorityCert + ", which the gateway is told to trust.",
		Example: "  sudo gateway cert --out /etc/gateway --host greenhouse.example\n  gateway cert --client ahmet",
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.check(parseHost); err != nil {
				return console.UsageError{Err: err}
			}
			return o.make(env.Stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "out", ".", "`directory` to write "+certName+" and "+keyName+" to, or those of a client")
	f.StringVar(&o.client, "client", "", "make a certificate for the holder of the token of that `name`")
	f.StringArrayVar(&o.hosts, "host", nil, "one more `name` or address of this machine; can be given again")
	f.IntVar(&o.days, "days", 825, "how long it is valid; Apple's devices refuse more than 825")
	f.BoolVar(&o.force, "force", false, "replace the files if they are there")
	return cmd
}

// check checks the flags, and puts the hosts into the form that browsers show.
func (o *certOptions) check(parseHost func(string) (string, error)) error {
	if o.days < 1 || o.days > maxCertDays {
		return fmt.Errorf("--days %d: it is a number from 1 to %d", o.days, maxCertDays)
	}
	if o.client != "" {
		return o.checkClient()
	}
	for i, host := range o.hosts {
		name, err := parseHost(host)
		if err != nil {
			return fmt.Errorf("--host %w", err)
		}
		o.hosts[i] = name
	}
	return nil
}

// make makes the pair, writes it, and says on stdout how it is used.
func (o *certOptions) make(stdout io.Writer) error {
	dir, err := filepath.Abs(o.dir) // the configuration wants full paths
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	if o.client != "" {
		return o.makeClient(dir, stdout)
	}
	own, err := ownHosts()
	if err != nil {
		return err
	}
	pair, err := makePair(slices.Concat(own, o.hosts), time.Now(), o.days)
	if err != nil {
		return err
	}
	if err := pair.write(dir, certName, keyName, o.force); err != nil {
		return err
	}
	_, err = io.WriteString(stdout, pair.instructions(dir, own, o.hosts))
	return err
}

// ownHosts returns the names and the addresses of this machine, its name first.
// Link-local addresses are left out: other machines can have the same ones.
func ownHosts() ([]string, error) {
	hosts := append(access.MachineNames(), "localhost", "127.0.0.1", "::1")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	return hosts, nil
}

// write writes the pair to dir; only its owner may read the key. After a failure,
// each file is the old one or the new one.
func (p *certPair) write(dir, cert, key string, force bool) error {
	cert, key = filepath.Join(dir, cert), filepath.Join(dir, key)
	for _, path := range []string{cert, key} {
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s is there already; fix: name another directory with --out, or replace it with --force", path)
		}
	}
	err := replaceFile(key, 0o600, p.key)
	if err == nil {
		err = replaceFile(cert, 0o644, p.cert)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; fix: mkdir -p %s", err, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; fix: sudo, or another directory with --out", err)
	}
	return err
}

func replaceFile(path string, mode fs.FileMode, data []byte) error {
	return atomicfile.Write(path, mode, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// instructions say how the gateway and its clients use the pair in dir.
func (p *certPair) instructions(dir string, own, more []string) string {
	var b strings.Builder
	cert, key := filepath.Join(dir, certName), filepath.Join(dir, keyName)
	fmt.Fprintf(&b, "%s  the certificate, until %s\n", cert, p.notAfter.Format(time.DateOnly))
	fmt.Fprintf(&b, "%s  its key: it stays on this machine; for the service:\n  sudo chown root:gateway %s && sudo chmod 640 %s\n\n", key, key, key)
	fmt.Fprintf(&b, "for      %s\n", strings.Join(slices.Concat(own, more), ", "))
	fmt.Fprintf(&b, "SHA-256  %s\n\n", p.fingerprint())
	fmt.Fprintf(&b, "In the gateway's configuration:\n\ntls: {cert: %s, key: %s}\n", yamlText(cert), yamlText(key))
	if len(more) > 0 {
		quoted := make([]string, len(more))
		for i, host := range more {
			quoted[i] = yamlText(host)
		}
		fmt.Fprintf(&b, "hosts: [%s]\n", strings.Join(quoted, ", "))
	}
	url := "wss://" + net.JoinHostPort(bestName(own, more), "8443") + "/"
	fmt.Fprintf(&b, "\nClients trust it once they have a copy of %s:\n\n", certName)
	fmt.Fprintf(&b, "  gateway watch %s --ca %s\n\n", url, certName)
	fmt.Fprintf(&b, "  tls = ssl.create_default_context(cafile=%q)  # Python\n", certName)
	fmt.Fprintf(&b, "  async with websockets.connect(%q, ssl=tls) as ws:\n\n", url)
	fmt.Fprintf(&b, "A browser asks once; what it shows must be the SHA-256 above.\n")
	return b.String()
}

// bestName is the name by which other machines most probably reach this one.
func bestName(own, more []string) string {
	if len(more) > 0 {
		return more[0]
	}
	for _, host := range own {
		if strings.HasSuffix(host, ".local") {
			return host
		}
	}
	return "localhost"
}

// plainYAML is a path or a domain name that needs no quotes in YAML, not even
// between braces, and is of no other type than a string.
var plainYAML = regexp.MustCompile(`^/?[A-Za-z][A-Za-z0-9_-]*[./][A-Za-z0-9_./-]*$`)

func yamlText(s string) string {
	if plainYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
