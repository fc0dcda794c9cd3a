package setup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/audit"
	"sensorgateway/wire"
)

// AuditLog is how the audit log on this machine is found.
type AuditLog struct {
	Flags *pflag.FlagSet // with which a user says where it is
	Find  func() (dir, key, anchor string, err error)
}

// Audit shows who did what.
func Audit(env console.Env, log AuditLog) *cobra.Command {
	var since string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who did what: commands, refusals, e-stops",
		Long: "Shows the audit log of a gateway on this machine: each command that was carried out, with who, when, the\n" +
			"result, and what the sensors had said; and what was refused or moved nothing, counted together by the minute.\n" +
			"It reads the log's files, so the gateway may be running or not.\n\n" +
			"A TIME is RFC 3339 (2026-03-01T06:00:00Z), Unix milliseconds, or a duration back from now (-90m, -7d).",
		Example: "  sudo gateway audit --since -24h\n  sudo gateway audit verify",
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			q := audit.Query{Limit: limit}
			if since != "" {
				var err error
				if q.Since, err = phrase.ParseTime(since, time.Now()); err != nil {
					return console.UsageError{Err: fmt.Errorf("--since %w", err)}
				}
			}
			dir, key, _, err := log.Find()
			if err != nil {
				return err
			}
			records, err := audit.Read(dir, key, q)
			if err != nil {
				return explainAuditError(dir, err)
			}
			for _, r := range records {
				if err := writeAudit(env.Stdout, r, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "`time` of the first record (default: the oldest)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a record, with all that it has")
	cmd.Flags().IntVar(&limit, "limit", 0, "so many of the newest records (default: all)")
	cmd.Flags().AddFlagSet(log.Flags)
	cmd.AddCommand(auditVerify(env, log))
	return cmd
}

func writeAudit(w io.Writer, r audit.Record, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", phrase.EscapeJSON(wire.JSON(r)))
		return err
	}
	count := ""
	if r.Count > 1 {
		count = fmt.Sprintf(" (%d times)", r.Count)
	}
	who := r.Name
	if r.From != "" && r.From != r.Name {
		who = strings.TrimSpace(who + " from " + r.From)
	}
	_, err := fmt.Fprintf(w, "%s %-8s %s: %s: %s%s\n", time.UnixMilli(r.At).UTC().Format("2006-01-02T15:04:05.000Z"), r.Kind,
		console.Printable(who), console.Printable(string(r.What)), console.Printable(r.Result), count)
	return err
}

func auditVerify(env console.Env, log AuditLog) *cobra.Command {
	var outside string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say whether the audit log is as it was written",
		Long: "Checks each record of the audit log against the key, the record before it and the anchor, and names the first\n" +
			"one that was changed, moved or dropped; then the exit status is 1. What is beyond the anchor is whole, but that\n" +
			"nothing was removed behind it cannot be proved. --anchor gives an anchor that was kept elsewhere: the gateway\n" +
			"logs one an hour (msg=\"audit anchor\" n=… code=…).",
		Args: console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			kept, err := parseAnchor(outside)
			if err != nil {
				return console.UsageError{Err: err}
			}
			dir, key, anchor, err := log.Find()
			if err != nil {
				return err
			}
			reports, err := audit.Verify(dir, key, anchor, kept)
			if err != nil {
				return explainAuditError(dir, err)
			}
			for _, r := range reports {
				err = errors.Join(err, writeReport(env.Stdout, r))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&outside, "anchor", "", "`N:CODE` that was kept elsewhere")
	cmd.Flags().AddFlagSet(log.Flags)
	return cmd
}

func parseAnchor(text string) (*audit.Outside, error) {
	if text == "" {
		return nil, nil
	}
	digits, code, found := strings.Cut(text, ":")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !found || err != nil || n == 0 || len(code) != 64 {
		return nil, fmt.Errorf("--anchor %s is not a number, a colon and 64 hexadecimal digits, as the gateway logs them", phrase.Quote(text))
	}
	return &audit.Outside{N: n, Code: strings.ToLower(code)}, nil
}

// writeReport returns an error if the log is not as it was written.
func writeReport(w io.Writer, r audit.Report) error {
	if r.Bad != "" {
		return fmt.Errorf("the records of what was %s are not as they were written, from record %d on: %s", r.Chain, r.BadN, r.Bad)
	}
	line := fmt.Sprintf("%s: records %d to %d are as they were written", r.Chain, r.First, r.Last)
	switch {
	case r.Records == 0:
		line = fmt.Sprintf("%s: no records", r.Chain)
	case !r.Anchored:
		line += "; there is no anchor yet, so that none was removed behind them cannot be proved"
	case r.Beyond > 0:
		line += fmt.Sprintf("; the last %d are beyond the anchor, so that none was removed behind them cannot be proved", r.Beyond)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// explainAuditError says why there is no audit log in dir, and what helps.
func explainAuditError(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no audit log in %s: a gateway writes one once it runs with a state directory; fix: name that with --state", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("audit log in %s: permission denied; fix: run this as the user who owns it (sudo -u gateway gateway audit)", dir)
	}
	return fmt.Errorf("audit log in %s: %w", dir, err)
}
