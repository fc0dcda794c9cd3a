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
	longestText = 500 // characters; the room cuts off the rest (wire/README.md, "The operators' room")
	// textEvery keeps a file that is piped in below the gateway's limit of 20 messages
	// a second.
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
			s := chatSession{nick: nick, stdout: env.Stdout, stderr: env.Stderr, now: time.Now}
			return r.explain(s.run(cmd.Context(), o, env.Stdin))
		},
	}
	r.flags(env, cmd.Flags())
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

// chatMessage is any message of the room.
type chatMessage struct {
	Type string `json:"type"`
	Nick string `json:"nick"`
	Text string `json:"text"`
}

// chatSession is a member's side of the room.
type chatSession struct {
	nick           string
	stdout, stderr io.Writer
	now            func() time.Time
}

// run joins the room, and sends the lines of stdin until they end or ctx does.
func (s *chatSession) run(ctx context.Context, o client.Options, stdin io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	joined := make(chan bool) // whether we are in the room, at each change
	var c *client.Client
	o.Handle = func(e client.Event) {
		var here bool
		switch e := e.(type) {
		case client.Message:
			s.print(e.Raw)
			return
		case client.Connected:
			fmt.Fprintln(s.stderr, connectionLine(o.URL, e))
			here = c.Send(chatMessage{Type: "join", Nick: s.nick}) == nil
		case client.Disconnected:
			fmt.Fprintln(s.stderr, connectionLine(o.URL, e))
		default:
			return
		}
		select {
		case joined <- here:
		case <-ctx.Done():
		}
	}
	c = client.New(o)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	input := make(chan string)
	// Nothing interrupts a read of a terminal: unless the input has ended, this
	// goroutine ends with the process.
	go readLines(ctx, stdin, input)

	var lines <-chan string // the input, while we are in the room
	for {
		select {
		case here := <-joined:
			lines = nil
			if here {
				lines = input
			}
		case line, more := <-lines:
			if !more || line == "/quit" {
				cancel()
				return s.reason(<-ended)
			}
			if line == "" {
				continue
			}
			if err := c.Send(chatMessage{Type: "chat", Nick: s.nick, Text: line}); err != nil {
				fmt.Fprintf(s.stderr, "not sent: %v\n", err)
			}
		case err := <-ended:
			return s.reason(err)
		}
	}
}

// reason explains why the room closed the connection.
func (s *chatSession) reason(err error) error {
	var refused *client.ServerError
	if errors.As(err, &refused) && refused.Reason == wire.CloseReasonNickTaken {
		return fmt.Errorf("nick taken: somebody in the room is called %s already (choose another --nick)", phrase.Quote(s.nick))
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

// print shows a message that came from the room.
func (s *chatSession) print(raw []byte) {
	var m chatMessage
	if json.Unmarshal(raw, &m) != nil {
		return
	}
	nick, text := Printable(m.Nick), Printable(m.Text)
	switch m.Type {
	case "chat":
		fmt.Fprintf(s.stdout, "%s %s: %s\n", s.now().Format(time.TimeOnly), nick, text)
	case "join":
		fmt.Fprintf(s.stdout, "* %s joined\n", nick)
	case "leave":
		fmt.Fprintf(s.stdout, "* %s left\n", nick)
	case "info":
		fmt.Fprintf(s.stdout, "* %s\n", text)
	case "error":
		fmt.Fprintf(s.stderr, "%s: %s\n", nick, text)
	}
}
