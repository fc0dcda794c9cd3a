//go:build !nohub

package hub

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
)

// A gateway may publish and subscribe as itself, and a hub sends orders and reads the rest.
func TestDefinitions(t *testing.T) {
	var out bytes.Buffer
	members := []enroll.Member{{Name: "pi-7", Site: "lab"}, {Name: "pi-8", Site: "lab", Revoked: time.Now()}}
	if err := printDefinitions(&out, members, []string{"hub-a"}); err != nil {
		t.Fatal(err)
	}
	var d definitions
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Users) != 2 || d.Users[0].Name != "pi-7" || d.Users[1].Name != "hub.hub-a" || d.Users[0].PasswordHash != "" {
		t.Fatalf("users %+v", d.Users)
	}
	pi, other := fleet.Gateway{Site: "lab", Name: "pi-7"}, fleet.Gateway{Site: "lab", Name: "pi-77"}
	all := fleet.Gateway{Site: "lab", Name: fleet.All}
	for user, c := range []struct{ write, read, no []string }{
		{
			write: []string{pi.Topic(fleet.Up), pi.Topic(fleet.News), pi.Topic(fleet.Here), pi.Topic(fleet.Live), pi.AnswerTopic("hub-a")},
			read:  pi.Orders(),
			no:    []string{other.Topic(fleet.Up), other.Topic(fleet.Cmd), other.AnswerTopic("hub-a"), all.Topic(fleet.Cmd), "gw/v1/lab/x/pi-7/up", "gw/v1/#", "gw/v1/lab/+/ask"},
		}, {
			write: []string{pi.Topic(fleet.Cmd), all.Topic(fleet.Ask), other.Topic(fleet.Watch)},
			read:  fleet.Filters("lab", "hub-a"),
			no:    []string{pi.AnswerTopic("hub-b"), "gw/v1/#"},
		},
	} {
		p := d.TopicPermissions[user]
		write, read := regexp.MustCompile(p.Write), regexp.MustCompile(p.Read)
		match := func(r *regexp.Regexp, topics []string, want bool) {
			for _, topic := range topics { // as RabbitMQ has it
				if key := strings.NewReplacer("/", ".", "+", "*").Replace(topic); r.MatchString(key) != want {
					t.Errorf("%s: %s matches %s: %v", p.User, r, key, !want)
				}
			}
		}
		match(write, c.write, true)
		match(read, c.read, true)
		match(write, append(c.no, c.read...), false)
		match(read, append(c.no, c.write...), false)
	}
	for i, queue := range []string{"mqtt-subscription-pi-7qos1", "mqtt-subscription-hub-a.labqos1"} {
		p := d.Permissions[i]
		for _, pattern := range []string{p.Configure, p.Write, p.Read} {
			if r := regexp.MustCompile(pattern); !r.MatchString(queue) || r.MatchString("mqtt-subscription-pi-77qos1") || r.MatchString("amq.direct") {
				t.Errorf("%s: %s", p.User, pattern)
			}
		}
	}
}
