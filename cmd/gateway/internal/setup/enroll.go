package setup

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// Enroll makes this machine's gateway a member of a fleet. machine is the machine's name.
func Enroll(env console.Env, here Installed, machine string) *cobra.Command {
	var text, name string
	var force bool
	cmd := &cobra.Command{
		Use:   "enroll URL",
		Short: "Make this gateway a member of a fleet",
		Long: "Makes this gateway a member of the fleet of a hub, with a code that gateway hub code has made there. The key is made on this\n" +
			"machine and stays here. The hub is known by the code before anything is sent. Whenever this is interrupted, it can\n" +
			"be repeated with the same code.",
		Example: "  sudo gateway enroll https://hub.example:8443 --name pi-7 --code 0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return console.UsageError{Err: errors.New("enroll takes the address of the hub, such as https://hub.example:8443")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, err := url.Parse(args[0])
			if err != nil || hub.Scheme != "https" || hub.Host == "" || hub.User != nil || hub.RawQuery != "" {
				return console.UsageError{Err: fmt.Errorf("%q is no address of a hub, such as https://hub.example:8443", args[0])}
			}
			code, err := enroll.ParseCode(text)
			if err != nil {
				return console.UsageError{Err: fmt.Errorf("--code: %w", err)}
			}
			if name == "" {
				name, _, _ = strings.Cut(strings.ToLower(machine), ".")
			}
			if err := fleet.CheckName(name); err != nil {
				return console.UsageError{Err: fmt.Errorf("--name: %w", err)}
			}
			dir, err := here.State()
			if err != nil {
				return err
			}
			m, err := enroll.Device{Dir: dir}.Enroll(cmd.Context(), hub, code, name, force)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(env.Stdout, enrolled(dir, m))
			return err
		},
	}
	cmd.Flags().StringVar(&text, "code", "", "the `code` that gateway hub code has made")
	cmd.Flags().StringVar(&name, "name", "", "`name` of this gateway in the fleet, which no other has (default: the machine's)")
	cmd.Flags().BoolVar(&force, "force", false, "make another key: a new identity, which replaces the one that this gateway has")
	cmd.Flags().AddFlagSet(here.Flags)
	return cmd
}

// enrolled says what the gateway is now, and where that is.
func enrolled(dir string, m *enroll.Membership) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of the site %s is a member of the fleet\n\n", m.Name, m.Site)
	for _, file := range []struct{ name, what string }{
		{enroll.CertFile, "its certificate, which is renewed by itself"}, {enroll.KeyFile, "its key: it stays here"},
		{enroll.AuthorityFile, "the authority of hubs and brokers"}, {enroll.HubKeysFile, "the keys with which hubs sign orders"},
	} {
		fmt.Fprintf(&b, "%s  %s\n", filepath.Join(dir, file.name), file.what)
	}
	if len(m.Brokers) == 0 {
		b.WriteString("\nThe hub names no broker yet.\n")
	}
	for _, broker := range m.Brokers {
		fmt.Fprintf(&b, "broker  %s\n", broker)
	}
	b.WriteString("\nTo connect with the fleet, write this into the configuration, with your budget, and restart the gateway:\n\n  uplink: {budget: 500MB/month}\n")
	return b.String()
}
