//go:build !nohub

// Package hub has the commands of a fleet's hub: it makes the fleet's authority and the
// codes with which gateways enroll, lists and revokes them, and runs.
//
// It refuses to know sensors, motors and the machine that it runs on: a hub is a service
// on any machine, and has its own state directory.
package hub

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// DefaultState is the hub's state directory, of its systemd unit.
const DefaultState = "/var/lib/gateway-hub"

// here is the hub of this machine.
type here struct {
	env     console.Env
	state   string
	machine string // its name
}

// Command returns the command of the hub, on a machine of that name.
func Command(env console.Env, machine string) *cobra.Command {
	h := &here{env: env, machine: machine}
	o := serveOptions{here: h}
	cmd := &cobra.Command{
		Use:   "hub",
		Short: "Run the hub of a fleet: gateways enroll there, and it stores their readings",
		Long: "Runs a hub until it is stopped. Its state directory has the fleet's authority, which gateway hub ca init makes, and\n" +
			"who belongs to the fleet. Devices enroll at the address where it listens, which takes TLS alone.\n\n" +
			"Of the sites that are named, it stores the readings of all gateways, as they come from the broker, in gateways/NAME\n" +
			"of the state directory: gateway export --state reads them, up to an hour before now.\n\n" +
			"At the same address, whoever has a token (gateway token add NAME --state DIRECTORY) sees all gateways, and each of\n" +
			"them at /gateways/NAME/ as on the gateway itself.",
		Example: "  sudo gateway hub ca init\n  sudo gateway hub code --site lab\n  gateway hub --broker mqtts://broker.example --site lab",
		Args:    console.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.serve(cmd.Context()) },
	}
	cmd.PersistentFlags().StringVar(&h.state, "state", "", "the hub's state `directory` (default "+DefaultState+")")
	o.flags(cmd.Flags())
	cmd.AddCommand(h.ca(), h.code(), h.list(), h.revoke(), h.key())
	return cmd
}

// dir returns the state directory.
func (h *here) dir() string {
	return cmp.Or(h.state, h.env.Getenv("GATEWAY_STATE"), DefaultState)
}

func (h *here) ca() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Make the authority that signs the certificates of a fleet, and a broker's certificate",
		Args:  console.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "init",
		Short: "Make the authority of a new fleet",
		Long: "Makes the authority of a new fleet, for 20 years, in the hub's state directory. Whoever has its key, ca.key, can make\n" +
			"members of the fleet; a second hub of the fleet needs a copy of it.",
		Args: console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := os.MkdirAll(h.dir(), 0o700); err != nil {
				return explain(h.dir(), err)
			}
			authority, err := enroll.InitAuthority(h.dir(), time.Now())
			if err != nil {
				return explain(h.dir(), err)
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s  the authority; its key, ca.key, makes members of the fleet: keep a copy where nobody else reads it\nSHA-256 begins with %X\n",
				filepath.Join(h.dir(), "ca.crt"), authority.Pin())
			return err
		},
	}, h.brokerCertificate())
	return cmd
}

// brokerCertificate makes a key and a certificate that gateways trust.
func (h *here) brokerCertificate() *cobra.Command {
	var hosts []string
	var out string
	cmd := &cobra.Command{
		Use:     "broker",
		Short:   "Make the certificate of a broker, which gateways trust",
		Long:    "Makes a key and a certificate for a broker of the fleet, for two years: broker.key and broker.crt.",
		Example: "  gateway hub ca broker --host broker.example --out /etc/mosquitto",
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(hosts) == 0 {
				return console.UsageError{Err: errors.New("--host is missing: the name or address by which gateways reach the broker; it can be given again")}
			}
			authority, err := enroll.OpenAuthority(h.dir())
			if err != nil {
				return explain(h.dir(), err)
			}
			if err := authority.CheckClock(time.Now()); err != nil {
				return err
			}
			pair, err := authority.Server(hosts[0], hosts, time.Now())
			if err != nil {
				return err
			}
			if err := enroll.WritePair(out, "broker", pair); err != nil {
				return explain(out, err)
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s  the certificate, until %s\n%s  its key\n", filepath.Join(out, "broker.crt"), pair.Leaf.NotAfter.Format(time.DateOnly), filepath.Join(out, "broker.key"))
			return err
		},
	}
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "`name` or address by which gateways reach the broker; can be given again")
	cmd.Flags().StringVar(&out, "out", ".", "`directory` to write to")
	return cmd
}

func (h *here) code() *cobra.Command {
	var site, gateway string
	cmd := &cobra.Command{
		Use:   "code",
		Short: "Make a code with which one gateway enrolls, once and within an hour",
		Long: "Makes a code with which one gateway becomes a member of the fleet, once and within an hour. The code has the\n" +
			"fingerprint of the authority in it: the device sends nothing to a hub of another fleet. It is shown once.\n\n" +
			"With --gateway it is for that name alone, and may give the name to another device, which replaces the first, or\n" +
			"let a gateway in again that was revoked.",
		Example: "  gateway hub code --site lab",
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if site == "" {
				return console.UsageError{Err: errors.New("--site is missing: the name of the site that the gateway will be of, such as lab")}
			}
			if err := fleet.CheckName(site); err != nil {
				return console.UsageError{Err: fmt.Errorf("--site: %w", err)}
			}
			if err := fleet.CheckName(gateway); gateway != "" && err != nil {
				return console.UsageError{Err: fmt.Errorf("--gateway: %w", err)}
			}
			authority, err := enroll.OpenAuthority(h.dir())
			if err != nil {
				return explain(h.dir(), err)
			}
			code, err := enroll.OpenMembers(h.dir()).Invite(authority, site, gateway, maker(), time.Now())
			if err != nil {
				return explain(h.dir(), err)
			}
			if !h.env.Terminal {
				_, err = fmt.Fprintln(h.env.Stdout, code)
				return err
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s\n\nOn the device, within an hour, with the address of this hub:\n\n  sudo gateway enroll https://%s:8443 --name %s --code %[1]s\n",
				code, h.machine, cmp.Or(gateway, "NAME"))
			return err
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "`name` of the site that the gateway will be of")
	cmd.Flags().StringVar(&gateway, "gateway", "", "the only `name` that the code is for")
	return cmd
}

func (h *here) list() *cobra.Command {
	var rabbitmq bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the gateways of the fleet",
		Long: "Lists the gateways of the fleet. With --rabbitmq it prints them, and the hubs, as definitions of RabbitMQ: each is a user there,\n" +
			"who is known by a certificate and has no password, and may use its own topics. One who was revoked is not among them:\n" +
			"RabbitMQ forgets a user, and closes its connection, by \"rabbitmqctl delete_user NAME\".",
		Example: "  gateway hub list --rabbitmq >fleet.json && rabbitmqctl import_definitions fleet.json",
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := os.ReadDir(h.dir()); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%w; fix: name the hub's state directory with --state, or begin a fleet with gateway hub ca init", err)
			} else if err != nil {
				return explain(h.dir(), err)
			}
			members := enroll.OpenMembers(h.dir())
			if err := members.Check(); err != nil {
				return explain(h.dir(), err)
			}
			if !rabbitmq {
				return printMembers(h.env.Stdout, members.All())
			}
			return printDefinitions(h.env.Stdout, members.All(), h.hubs())
		},
	}
	cmd.Flags().BoolVar(&rabbitmq, "rabbitmq", false, "print users and permissions for RabbitMQ")
	return cmd
}

// hubs returns the names of the fleet's hubs: each has a signing key.
func (h *here) hubs() (names []string) {
	keys, _ := enroll.HubKeys(h.dir()) // none before a hub has run
	for line := range strings.Lines(string(keys)) {
		if _, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && fleet.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

func printMembers(out io.Writer, all []enroll.Member) error {
	slices.SortStableFunc(all, func(a, b enroll.Member) int { return strings.Compare(a.Site, b.Site) })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SITE\tGATEWAY\tENROLLED\tCERTIFICATE UNTIL")
	for _, m := range all {
		until := m.Expires.Format(time.DateOnly)
		if !m.Revoked.IsZero() {
			until = "revoked " + m.Revoked.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Site, m.Name, m.Enrolled.Format(time.DateOnly), until)
	}
	return w.Flush()
}

func (h *here) revoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a gateway: its certificate is good no longer, and not renewed",
		Long: "Revokes a gateway. It gets no other certificate, and hubs store nothing of it from then on. Its connection ends when the\n" +
			"broker is told: Mosquitto by ca.crl in the state directory, the list of revoked certificates, and a restart; RabbitMQ\n" +
			"by \"rabbitmqctl delete_user NAME\".",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return console.UsageError{Err: errors.New("revoke takes the name of one gateway")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			authority, err := enroll.OpenAuthority(h.dir())
			if err == nil {
				err = enroll.OpenMembers(h.dir()).Revoke(authority, args[0], time.Now())
			}
			if err != nil {
				return explain(h.dir(), err)
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s is revoked: hubs store nothing of it, and show it as that. Its connection ends when the broker is told:\n\n  Mosquitto  sudo install -o mosquitto -m 600 %s /etc/mosquitto/ca.crl && sudo systemctl restart mosquitto\n  RabbitMQ   sudo rabbitmqctl delete_user %[1]s\n", args[0], filepath.Join(h.dir(), "ca.crl"))
			return err
		},
	}
}

// maker is who makes a code, for people.
func maker() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// explain says what to do about an error of a directory.
func explain(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; fix: run this as the owner of %s, or as root (sudo)", err, dir)
	}
	return err
}
