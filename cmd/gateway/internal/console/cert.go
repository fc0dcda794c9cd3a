package console

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

	"sensorgateway/gateway/access"
)

const (
	certName = "gateway.crt"
	keyName  = "gateway.key"

	maxCertDays = 3650
)

// Cert makes a certificate for a first try of TLS. parseHost checks a name or an
// address of this machine, and returns it as a browser shows it.
func Cert(env Env, parseHost func(string) (string, error)) *cobra.Command {
	var out string
	var more []string
	var days int
	var force bool
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make a certificate for a first try of wss://",
		Long: "Makes a certificate that nobody has signed but itself, and its key, for a first try of TLS. It is\n" +
			"for this machine's names and addresses; clients have to be told to trust it.",
		Example: "  sudo gateway cert --out /etc/gateway --host greenhouse.example",
		Args:    NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if days < 1 || days > maxCertDays {
				return UsageError{fmt.Errorf("--days %d: it is a number from 1 to %d", days, maxCertDays)}
			}
			for i, host := range more {
				name, err := parseHost(host)
				if err != nil {
					return UsageError{fmt.Errorf("--host %w", err)}
				}
				more[i] = name
			}
			dir, err := filepath.Abs(out) // the configuration wants full paths
			if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			own, err := ownHosts()
			if err != nil {
				return err
			}
			pair, err := makePair(slices.Concat(own, more), time.Now(), days)
			if err != nil {
				return err
			}
			if err := pair.write(dir, force); err != nil {
				return err
			}
			_, err = io.WriteString(env.Stdout, pair.instructions(dir, own, more))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", ".", "`directory` to write "+certName+" and "+keyName+" to")
	f.StringArrayVar(&more, "host", nil, "one more `name` or address of this machine; can be given again")
	f.IntVar(&days, "days", 825, "how long it is valid; Apple's devices refuse more than 825")
	f.BoolVar(&force, "force", false, "replace the files if they are there")
	return cmd
}

// ownHosts returns the names and the addresses of this machine, but those of one
// link only, which are the same on every link. Its name comes first.
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

// write puts the pair into dir, the key for its owner's eyes only. Each file
// appears whole or not at all.
func (p *certPair) write(dir string, force bool) error {
	cert, key := filepath.Join(dir, certName), filepath.Join(dir, keyName)
	for _, path := range []string{cert, key} {
		if _, err := os.Lstat(path); err == nil && !force {
			return fmt.Errorf("%s is there already; fix: name another directory with --out, or replace it with --force", path)
		}
	}
	err := replaceWith(key, p.key, 0o600)
	if err == nil {
		err = replaceWith(cert, p.cert, 0o644)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; fix: mkdir -p %s", err, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; fix: sudo, or another directory with --out", err)
	}
	return err
}

// replaceWith makes a file, in place of the one that may be there.
func replaceWith(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// instructions tell how the pair in dir is used, by the gateway and by clients.
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

// bestName is what other machines reach this one by, most probably.
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

// plainYAML is a path or a domain name that needs no quotes, not even between
// braces, and that nobody takes for another type.
var plainYAML = regexp.MustCompile(`^/?[A-Za-z][A-Za-z0-9_-]*[./][A-Za-z0-9_./-]*$`)

func yamlText(s string) string {
	if plainYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}
