// Command gateway reads temperature and humidity from I²C chips and streams
// every reading to any number of WebSocket clients.
//
// This package alone knows all others: it reads the configuration, builds the
// parts (build.go), connects those that listen (listeners.go), and runs them as
// tasks that start and end in a written order (tasks.go). It refuses to do anything
// itself: what is more than a connection is a package of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/address"
	"sensorgateway/cmd/gateway/internal/config"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/export"
	"sensorgateway/cmd/gateway/internal/field"
	"sensorgateway/cmd/gateway/internal/hub"
	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/cmd/gateway/internal/rebind"
	"sensorgateway/cmd/gateway/internal/setup"
)

// version is stamped by scripts/build.
var version = "devel"

// Exit statuses; 78 is EX_CONFIG of sysexits.h, for which the unit does not restart.
const (
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	if errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "fix: ") {
		err = fmt.Errorf("%w; fix: make room on that disk", err)
	}
	status := exitStatus(err)
	switch status {
	case 0:
	case exitConfig: // each line of it names file and line
		fmt.Fprintln(os.Stderr, err)
	default:
		fmt.Fprintf(os.Stderr, "gateway: %v\n", err)
	}
	os.Exit(status)
}

// run is the whole program without its process.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var o serveOptions
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Stream I²C sensor readings to WebSocket clients",
		Long: "Reads temperature and humidity from I²C chips and streams every reading to any number of\n" +
			"WebSocket clients. Try it without hardware: gateway --simulate",
		Args:          console.NoArgs,
		Version:       console.VersionText(version),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o, getenv, stdout, stderr) },
	}
	env := console.Env{Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, Terminal: isTerminal(stdout), Getenv: getenv, Version: version}
	root.AddCommand(console.Watch(env), export.Command(env, logOfReadings(getenv)), console.Chat(env),
		console.Motor(env), console.Alarms(env), console.Version(env, version), checkCommand(stdout), setup.Config(stdout), setup.OutputsOff(installed(getenv)), rebind.Command(env))
	root.AddCommand(setup.Token(env, installed(getenv)), setup.Audit(env, auditLog(getenv)), setup.Cert(env, address.ParseHost),
		setup.Backup(env, installed(getenv), machine.Name()), setup.Restore(env, installed(getenv)))
	root.AddCommand(hub.Command(env, machine.Name()), setup.Enroll(env, installed(getenv), machine.Name()))
	root.AddCommand(field.Commands(env, func(path string, simulate *machine.Simulation) (*config.Config, error) {
		return serveOptions{config: path}.configuration(simulate)
	})...)
	root.SetHelpCommand(console.Help())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	f := root.Flags()
	f.StringVar(&o.config, "config", "", "configuration `file` (default "+config.DefaultFile+"; none when simulating)")
	f.StringVar(&o.simulate, "simulate", "", "emulate the chips: \"steady\", or \"flaky\" for chips that fail; \":SEED\" behind it for another environment")
	f.Lookup("simulate").NoOptDefVal = "steady"
	f.StringVar(&o.replay, "replay", "", "serve a recording, `file`, that gateway record made, at the speed it was made")
	f.StringVar(&o.listen, "listen", "", "`address` to listen on (default "+address.DefaultListen+"; with TLS "+address.DefaultListenTLS+")")
	f.BoolVar(&o.insecure, "insecure", false, "with --simulate: let other machines connect, and whoever does command the motors, which are not real")
	f.StringVar(&o.state, "state", "", "`directory` of what must survive a restart (default: in memory only)")
	f.StringVar(&o.logFormat, "log-format", "", "auto, text, journal or json (default auto)")
	f.StringVar(&o.root, "root", "/", "`directory` to look for /sys in")
	_ = f.MarkHidden("root") // for tests; it fails only for an unknown flag
	o.origin = func(flag string) string { return origin(f.Lookup(flag)) }
	root.PreRunE = func(*cobra.Command, []string) error { return fromEnvironment(f, getenv) }
	root.SetFlagErrorFunc(console.FlagError)
	return root.ExecuteContext(ctx)
}

// fromEnvironment sets the flags that were not given from GATEWAY_LISTEN and the like.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) string) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		if v := getenv(environmentName(f)); v != "" && !f.Changed && !f.Hidden && f.Value.Type() == "string" {
			err = errors.Join(err, f.Value.Set(v))
		}
	})
	return err
}

func environmentName(f *pflag.Flag) string {
	return "GATEWAY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// origin names where the value of a flag was given: --listen or GATEWAY_LISTEN.
func origin(f *pflag.Flag) string {
	if f.Changed {
		return "--" + f.Name
	}
	return environmentName(f)
}

func exitStatus(err error) int {
	var usage console.UsageError
	var invalid config.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &invalid):
		return exitConfig
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailure
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
