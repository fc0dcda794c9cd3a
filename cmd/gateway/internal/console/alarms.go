package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

// maxAlarms is how much of a list of alarms is read: some thousands of them.
const maxAlarms = 1 << 20

// Alarms lists the alarms of a gateway, and acknowledges one.
func Alarms(env Env) *cobra.Command {
	var r remote
	var recent, asJSON bool
	cmd := &cobra.Command{
		Use:   "alarms URL [acknowledge ALARM]",
		Short: "List the alarms of a gateway, or acknowledge one",
		Long: "Lists the alarms that are raised. With acknowledge, or ack, and the name of one, others see that you know of it;\n" +
			"for that the token must be one that may command. gateway watch shows alarms as they are raised and cleared.",
		Example: "  gateway alarms localhost:8765\n  gateway alarms localhost:8765 acknowledge sensor_lost:indoor",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := alarmOf(args)
			if err == nil && name != "" && recent {
				err = errors.New("--recent goes with the list of alarms")
			}
			if err != nil {
				return UsageError{err}
			}
			o, err := r.options(args[0])
			if err != nil {
				return err
			}
			p := statePrinter{env.Stdout, asJSON || !env.Terminal}
			if name != "" {
				o.Subprotocol = wire.ReadingsV2
				return r.explain(newOperator(motorPayload{Action: wire.Acknowledge, Target: name}, p, env.Stderr).run(cmd.Context(), o))
			}
			list, err := listAlarms(cmd.Context(), o)
			if err != nil {
				return r.explain(err)
			}
			if len(list.Alarms) == 0 && !p.json {
				fmt.Fprintln(env.Stderr, "no alarm is raised")
			}
			if recent {
				list.Alarms = append(list.Alarms, list.Recent...)
			}
			return p.printAlarms(list.Alarms...)
		},
	}
	r.flags(env, cmd.Flags())
	cmd.Flags().BoolVar(&recent, "recent", false, "list those that were cleared lately too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "show alarms as JSON, one a line, as when the output is no terminal")
	return cmd
}

// alarmOf returns the alarm that the arguments (a URL, perhaps acknowledge and an
// alarm) acknowledge, "" if none.
func alarmOf(args []string) (string, error) {
	switch {
	case len(args) == 1:
		return "", nil
	case len(args) == 0 || len(args) > 3:
		return "", errors.New("alarms takes the URL of a gateway, perhaps with acknowledge and the name of an alarm behind it")
	case args[1] != wire.Acknowledge && args[1] != "ack":
		return "", fmt.Errorf("unknown action %s: write %s", phrase.Quote(args[1]), wire.Acknowledge)
	case len(args) == 2 || args[2] == "":
		return "", errors.New("acknowledge needs the name of an alarm: gateway alarms URL lists them")
	}
	return args[2], nil
}

// alarmList is the answer of /api/v1/alarms.
type alarmList struct {
	Alarms []wire.Alarm `json:"alarms"` // that are raised
	Recent []wire.Alarm `json:"recent"` // that were cleared
}

// listAlarms asks the gateway that o connects to. Alarms need no connection that stays.
func listAlarms(ctx context.Context, o client.Options) (list alarmList, err error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return list, err
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	u.Path, _, _ = strings.Cut(u.Path, "/sensors/") // the alarms are the gateway's
	u = u.JoinPath("api/v1/alarms")
	ctx, cancel := context.WithTimeout(ctx, o.OpenTimeout)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return list, err
	}
	maps.Copy(ask.Header, o.Header)
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(ask) // no redirect is followed: it could lead the token elsewhere
	if err != nil {
		return list, fmt.Errorf("alarms of %s: %w", u.Host, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAlarms))
	switch {
	case err != nil:
		return list, fmt.Errorf("alarms of %s: %w", u.Host, err)
	case answer.StatusCode != http.StatusOK:
		return list, fmt.Errorf("alarms: %s answers %s%s", u.Host, answer.Status, refusal(body))
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return list, fmt.Errorf("alarms: the answer of %s is not that of a gateway: %w", u, err)
	}
	return list, nil
}

// refusal is what the body of an answer says of the reason, with a colon before it.
func refusal(body []byte) string {
	var answer struct{ Payload wire.Error }
	if json.Unmarshal(body, &answer) != nil || answer.Payload.Message == "" {
		return ""
	}
	return ": " + phrase.Brief(&answer.Payload)
}

func (p statePrinter) printAlarms(alarms ...wire.Alarm) error {
	var lines []string
	for _, a := range alarms {
		if p.json {
			lines = append(lines, string(phrase.EscapeJSON(wire.JSON(a))))
		} else {
			lines = append(lines, describeAlarm(a))
		}
	}
	return p.write(lines...)
}

// describeAlarm says in words how an alarm is.
func describeAlarm(a wire.Alarm) string {
	text := fmt.Sprintf("%s: %s, raised %s", a.Name, a.Severity, localTime(a.Since))
	if why := whyAlarm(a); why != "" {
		text += " (" + why + ")"
	}
	if a.Acknowledged != nil {
		text += fmt.Sprintf(", acknowledged by %s %s", a.Acknowledged.By, localTime(a.Acknowledged.TS))
	}
	if !a.Raised() {
		text += ", cleared " + localTime(a.Cleared)
	}
	return Printable(text)
}

// whyAlarm is the condition of an alarm and the value that met it, or the reason.
func whyAlarm(a wire.Alarm) string {
	why := a.Condition + a.Reason
	if a.Value != nil {
		why += fmt.Sprintf(", at %.6g", *a.Value)
	}
	return why
}

// localTime is Unix seconds as the clock of this machine shows them.
func localTime(seconds float64) string {
	return time.UnixMilli(int64(seconds * 1000)).Format(time.DateTime)
}
