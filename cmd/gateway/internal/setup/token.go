// Package setup has the commands for the person who sets a gateway up and maintains it: who
// may use it, who did what, backups, and a certificate for a first try.
//
// It refuses to know how the gateway runs. The gateway need not run.
package setup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/announce"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/access/tokens"
	"sensorgateway/wire"
)

// Installed is the gateway that this machine has.
type Installed struct {
	Flags *pflag.FlagSet                            // with which a user says where it is
	State func() (dir string, err error)            // its state directory
	Read  func(file string) (*config.Config, error) // its configuration; file is "" for the usual one
}

// configuration returns the configuration, nil if there is none that can be read.
func (i Installed) configuration() *config.Config {
	cfg, err := i.Read(i.Flags.Lookup("config").Value.String())
	if err != nil { // State has said so, if there has to be one
		return nil
	}
	return cfg
}

// page returns the address of the page, "" if it is not known.
func (i Installed) page() string {
	if cfg := i.configuration(); cfg != nil {
		return announce.Start{Config: cfg}.Page()
	}
	return ""
}

// names returns the sensors and motors of the configuration, nil if there is none.
func (i Installed) names() (sensors, motors []string) {
	cfg := i.configuration()
	if cfg == nil {
		return nil, nil
	}
	sensors, motors = []string{}, []string{}
	for _, s := range cfg.Sensors {
		sensors = append(sensors, s.Name)
	}
	for _, m := range cfg.Motors {
		motors = append(motors, m.Name)
	}
	return sensors, motors
}

// Token makes, lists and revokes tokens.
func Token(env console.Env, here Installed) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Say who may use the gateway: add, list, revoke and rotate tokens",
		Long: "Changes who may use a gateway on this machine. It may be running or not: a running one follows the change\n" +
			"within a second, and closes the connections of a token that was revoked. A token is shown once; the gateway\n" +
			"stores its hash only.\n\n" +
			"A viewer sees, stops motors and presses the e-stop. An operator commands motors and writes in the operators'\n" +
			"room. An admin does so too, makes and revokes tokens on the page, and asks who did what.",
		Example: "  sudo gateway token add ahmet --role operator\n  sudo gateway token add display --sensors indoor,outdoor --expires 90d\n  sudo gateway token revoke ahmet",
		Args:    console.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().AddFlagSet(here.Flags)
	cmd.AddCommand(tokenAdd(env, here), tokenList(env, here), tokenRevoke(env, here), tokenRotate(env, here), tokenLink(env, here))
	return cmd
}

func tokenAdd(env console.Env, here Installed) *cobra.Command {
	var t tokens.Token
	var role, expires string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token",
		Args:  oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			t.Name, t.Role, t.By = args[0], tokens.Role(role), maker()
			if !t.Role.AtLeast(tokens.Viewer) {
				return console.UsageError{Err: fmt.Errorf("--role %q: it is viewer, operator or admin", role)}
			}
			if expires != "" {
				if t.Expires, err = phrase.ParseExpiry(expires, time.Now()); err != nil {
					return console.UsageError{Err: fmt.Errorf("--expires: %w", err)}
				}
			}
			sensors, motors := here.names()
			if err := errors.Join(checkScope("sensors", t.Sensors, sensors), checkScope("motors", t.Motors, motors)); err != nil {
				return console.UsageError{Err: err}
			}
			return shown(env, here, func(f *tokens.File) (string, error) { return f.Add(t) })
		},
	}
	cmd.Flags().StringVar(&role, "role", string(tokens.Viewer), "viewer, operator or admin")
	cmd.Flags().StringSliceVar(&t.Sensors, "sensors", nil, "`names` of the sensors that it may see (default: all)")
	cmd.Flags().StringSliceVar(&t.Motors, "motors", nil, "`names` of the motors that it may see and command (default: all)")
	cmd.Flags().StringSliceVar(&t.Gateways, "gateways", nil, "on a fleet's hub, `names` of the gateways that it is for, or site:NAME (default: all)")
	cmd.Flags().StringVar(&expires, "expires", "", "a `time` as RFC 3339, or a duration from now, such as 12h or 90d (default: never)")
	return cmd
}

func tokenRotate(env console.Env, here Installed) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate NAME",
		Short: "Give a token another text: the old one is good no longer, nor is what logged in with it",
		Args:  oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			return shown(env, here, func(f *tokens.File) (string, error) { return f.Rotate(args[0]) })
		},
	}
}

// edit changes the file of tokens.
func (here Installed) edit(change func(*tokens.File) error) error {
	dir, err := here.State()
	if err != nil {
		return err
	}
	return tokens.Edit(dir, change)
}

// shown makes a token's text, and shows it, without any other text if a program reads it.
func shown(env console.Env, here Installed, make func(*tokens.File) (string, error)) error {
	var text string
	if err := here.edit(func(f *tokens.File) (err error) { text, err = make(f); return err }); err != nil {
		return err
	}
	if !env.Terminal {
		_, err := fmt.Fprintln(env.Stdout, text)
		return err
	}
	_, err := fmt.Fprintf(env.Stdout, "%s\n\nIt is shown this once. Programs send it as Authorization: Bearer, people enter it at /login.\n"+
		"A link and a QR code for a browser: gateway token link NAME\n", text)
	return err
}

func tokenLink(env console.Env, here Installed) *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use:   "link NAME",
		Short: "Make a link that logs a browser in, once and within 15 minutes",
		Long: "Makes a link that logs a browser in with a token, once and within 15 minutes, and shows it as text and as a QR\n" +
			"code. The code is behind the # of the link: browsers do not send that, so it is in no log.",
		Args: oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			address := cmp.Or(page, here.page())
			if address == "" {
				return console.UsageError{Err: errors.New("without its configuration, the address of the gateway's page is not known; fix: name it, such as --page https://pi.local:8443/")}
			}
			u, err := url.Parse(address)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return console.UsageError{Err: fmt.Errorf("--page %q: that is no address of a page, such as https://pi.local:8443/", address)}
			}
			var code string
			if err := here.edit(func(f *tokens.File) (err error) { code, err = f.AddCode(args[0]); return err }); err != nil {
				return err
			}
			link := strings.TrimSuffix(u.Scheme+"://"+u.Host+u.EscapedPath(), "/") + "/login#" + code
			if env.Terminal {
				picture, err := qrText(link)
				if err != nil {
					return err
				}
				if _, err := io.WriteString(env.Stdout, picture); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(env.Stdout, link)
			return err
		},
	}
	cmd.Flags().StringVar(&page, "page", "", "`address` of the gateway's page, as the browser reaches it (default: as the configuration says)")
	return cmd
}

func tokenRevoke(env console.Env, here Installed) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a token: whoever uses it is sent away within a second",
		Args:  oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := here.edit(func(f *tokens.File) error { return f.Revoke(args[0]) }); err != nil {
				return err
			}
			_, err := fmt.Fprintf(env.Stdout, "%s is revoked\n", args[0])
			return err
		},
	}
}

// listed is a token as programs see it.
type listed struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Sensors  []string  `json:"sensors,omitempty"`
	Motors   []string  `json:"motors,omitempty"`
	Gateways []string  `json:"gateways,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	Created  time.Time `json:"created"`
	By       string    `json:"by"`
	Browsers int       `json:"browsers"` // that are logged in with it
	Used     time.Time `json:"used,omitzero"`
	UsedFrom string    `json:"used_from,omitempty"`
}

func tokenList(env console.Env, here Installed) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without what is secret",
		Long: "Lists the tokens, with the browsers that are logged in with each, and when it was last used, as of an hour ago\n" +
			"at most.",
		Args: console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := here.State()
			if err != nil {
				return err
			}
			f, err := tokens.Read(dir)
			if err != nil {
				return explainState(dir, err)
			}
			list := listTokens(f, tokens.LastUsed(dir))
			if asJSON {
				for _, t := range list {
					if _, err := fmt.Fprintf(env.Stdout, "%s\n", wire.JSON(t)); err != nil {
						return err
					}
				}
				return nil
			}
			return printTokens(env.Stdout, list, time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a token")
	return cmd
}

func listTokens(f *tokens.File, used map[string]tokens.Use) (list []listed) {
	for _, s := range f.Summaries(used) {
		list = append(list, listed{
			ID: s.ID, Name: s.Name, Role: string(s.Role), Sensors: s.Sensors, Motors: s.Motors, Gateways: s.Gateways, Expires: s.Expires,
			Created: s.Created, By: s.By, Browsers: len(s.Logins), Used: s.Used.At, UsedFrom: s.Used.From,
		})
	}
	return list
}

func printTokens(w io.Writer, list []listed, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "there are no tokens; fix: gateway token add NAME --role operator")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tSENSORS\tMOTORS\tEXPIRES\tMADE\tBY\tBROWSERS\tLAST USE") // Flush has the error
	for _, t := range list {
		expires := "never"
		switch {
		case t.Expires.IsZero():
		case !now.Before(t.Expires):
			expires = "expired"
		default:
			expires = t.Expires.Local().Format(time.DateTime)
		}
		used := "-"
		if !t.Used.IsZero() {
			used = t.Used.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", t.Name, t.Role, cmp.Or(strings.Join(t.Sensors, ","), "all"),
			cmp.Or(strings.Join(t.Motors, ","), "all"), expires, t.Created.Local().Format(time.DateOnly), t.By, t.Browsers, used)
	}
	return table.Flush()
}

func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return console.UsageError{Err: errors.New("it takes the name of one token, such as ahmet")}
	}
	if err := tokens.CheckName(args[0]); err != nil {
		return console.UsageError{Err: err}
	}
	return nil
}

// checkScope refuses names that are not configured: a typo would be a token that sees
// nothing. Without a configuration (nil) nothing is known.
func checkScope(flag string, names, known []string) error {
	if known == nil {
		return nil
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--%s: there is no %q; there are %s", flag, name, cmp.Or(strings.Join(known, ", "), "none"))
		}
	}
	return nil
}

// maker names who makes a token, for the list.
func maker() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}
