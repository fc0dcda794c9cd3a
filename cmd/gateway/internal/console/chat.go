package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/gateway/client"
	"sensorgateway/wire"
)

const (
	longestText = 500 // characters; the room cuts what is longer (protocol.md, section 7)
	// textEvery keeps a file that is piped in under the gateway's limit of 20
	// messages a second.
	textEvery = 60 * time.Millisecond
)

// Chat joins the operators' room of a gateway.
func Chat(env Env) *cobra.Command {
	var r remote
	var nick string
	cmd := &cobra.Command{
		Use:   "chat URL",
		Short: "Talk in the operators' room of a gateway",
		Long: "Joins the operators' room of a gateway. What you type is said, line by line; /quit or the\n" +
			"end of the input leaves. A connection that is lost is made again.",
		Example: "  gateway chat localhost:8765 --nick ahmet",
		Args:    oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := r.options(args[0])
			if err != nil {
				return err
			}
			if o.URL, err = roomOf(o.URL); err != nil {
				return err
			}
			v := visit{nick: nick, stdout: env.Stdout, stderr: env.Stderr, now: time.Now}
			return r.explain(v.run(cmd.Context(), o, env.Stdin))
		},
	}
	r.flags(cmd.Flags())
	cmd.Flags().StringVar(&nick, "nick", "", "your `name`, 20 characters at most (default anonim)")
	return cmd
}

// roomOf returns the URL of the operators' room of the gateway at a URL.
func roomOf(gateway string) (string, error) {
	u, err := url.Parse(gateway)
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(u.Path, "/chat") {
		u = u.JoinPath("chat")
	}
	return u.String(), nil
}

// chatMessage is every message of the room.
type chatMessage struct {
	Type string `json:"type"`
	Nick string `json:"nick"`
	Text string `json:"text"`
}

// visit is somebody in the room.
type visit struct {
	nick           string
	stdout, stderr io.Writer
	now            func() time.Time
}

// run talks until the input ends or ctx does.
func (v *visit) run(ctx context.Context, o client.Options, stdin io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	present := make(chan bool) // whether we are in the room, at each change
	var c *client.Client
	o.Handle = func(e client.Event) {
		var here bool
		switch e := e.(type) {
		case client.Message:
			v.print(e.Raw)
			return
		case client.Connected:
			fmt.Fprintln(v.stderr, connectionLine(o.URL, e))
			here = c.Send(chatMessage{Type: "join", Nick: v.nick}) == nil
		case client.Disconnected:
			fmt.Fprintln(v.stderr, connectionLine(o.URL, e))
		default:
			return
		}
		select {
		case present <- here:
		case <-ctx.Done():
		}
	}
	c = client.New(o)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	input := make(chan string)
	// Nothing interrupts reading a terminal: if it is not the end of the input
	// that ends the visit, this one ends with the process.
	go readLines(ctx, stdin, input)

	var lines <-chan string // the input, while somebody can hear it
	for {
		select {
		case here := <-present:
			lines = nil
			if here {
				lines = input
			}
		case line, more := <-lines:
			if !more || line == "/quit" {
				cancel()
				return v.reason(<-ended)
			}
			if line == "" {
				continue
			}
			if err := c.Send(chatMessage{Type: "chat", Nick: v.nick, Text: line}); err != nil {
				fmt.Fprintf(v.stderr, "not sent: %v\n", err)
			}
		case err := <-ended:
			return v.reason(err)
		}
	}
}

// reason explains why the room sent us away.
func (v *visit) reason(err error) error {
	var refused *client.ServerError
	if errors.As(err, &refused) && refused.Reason == wire.CloseReasonNickTaken {
		return fmt.Errorf("nick taken: somebody in the room is called %s already (choose another --nick)", phrase.Quote(v.nick))
	}
	return err
}

// readLines sends the lines of r, trimmed and cut to what the room takes, and
// closes the channel at its end.
func readLines(ctx context.Context, r io.Reader, lines chan<- string) {
	defer close(lines)
	for in := bufio.NewReader(r); ; { // of 4 KiB, which are 500 characters at least
		line, long, err := in.ReadLine()
		if err != nil {
			return
		}
		text := cutRunes(strings.TrimSpace(strings.ToValidUTF8(string(line), "")), longestText)
		select {
		case lines <- text:
		case <-ctx.Done():
			return
		}
		for long && err == nil {
			_, long, err = in.ReadLine()
		}
		select {
		case <-time.After(textEvery):
		case <-ctx.Done():
			return
		}
	}
}

func cutRunes(s string, most int) string {
	for i := range s {
		if most == 0 {
			return s[:i]
		}
		most--
	}
	return s
}

// print shows a message of the room.
func (v *visit) print(raw []byte) {
	var m chatMessage
	if json.Unmarshal(raw, &m) != nil {
		return
	}
	nick, text := printable(m.Nick), printable(m.Text)
	switch m.Type {
	case "chat":
		fmt.Fprintf(v.stdout, "%s %s: %s\n", v.now().Format(time.TimeOnly), nick, text)
	case "join":
		fmt.Fprintf(v.stdout, "* %s joined\n", nick)
	case "leave":
		fmt.Fprintf(v.stdout, "* %s left\n", nick)
	case "info":
		fmt.Fprintf(v.stdout, "* %s\n", text)
	case "error":
		fmt.Fprintf(v.stderr, "%s: %s\n", nick, text)
	}
}
