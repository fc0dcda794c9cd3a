//go:build !nohub

package hub

import (
	"io"
	"regexp"

	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/wire"
)

// definitions are what RabbitMQ imports: https://www.rabbitmq.com/docs/definitions.
type definitions struct {
	Users            []brokerUser      `json:"users"`
	Permissions      []permission      `json:"permissions"`
	TopicPermissions []topicPermission `json:"topic_permissions"`
}

type brokerUser struct {
	Name         string   `json:"name"`
	PasswordHash string   `json:"password_hash"` // "": no password is the right one
	Tags         []string `json:"tags"`
}

// permission is for queues and exchanges, as regular expressions.
type permission struct {
	User      string `json:"user"`
	Vhost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// topicPermission is for topics, in which RabbitMQ has a dot for each slash.
type topicPermission struct {
	User     string `json:"user"`
	Vhost    string `json:"vhost"`
	Exchange string `json:"exchange"`
	Write    string `json:"write"`
	Read     string `json:"read"`
}

const (
	vhost    = "/"
	exchange = "amq.topic" // through which MQTT's messages go
	// level is one of a topic: the name of a site or a gateway.
	level = "[a-z][a-z0-9_-]*"
	topic = `^gw\.` + fleet.Version + `\.` + level + `\.`
)

// printDefinitions prints the users of a fleet, and what each of them may do. A queue of
// MQTT is named after the client's ID.
func printDefinitions(out io.Writer, members []enroll.Member, hubs []string) error {
	d := definitions{Users: []brokerUser{}, Permissions: []permission{}, TopicPermissions: []topicPermission{}}
	for _, m := range members {
		if m.Revoked.IsZero() {
			name := regexp.QuoteMeta(m.Name)
			d.add(m.Name, name, topic+name+`\.(up|news|here|live|answer\.`+level+`)$`, topic+`(`+name+`\.(cmd|ask|watch)|`+fleet.All+`\.ask)$`)
		}
	}
	for _, hub := range hubs {
		name := regexp.QuoteMeta(hub)
		d.add("hub."+hub, name+`\.`+level, topic+level+`\.(cmd|ask|watch)$`, topic+`([^.]+)\.(up|news|here|live|answer\.`+name+`)$`)
	}
	_, err := out.Write(append(wire.JSON(d), '\n'))
	return err
}

// add adds a user, whose client IDs match a pattern.
func (d *definitions) add(user, id, write, read string) {
	queues := `mqtt-subscription-` + id + `qos[01]`
	d.Users = append(d.Users, brokerUser{Name: user, Tags: []string{}})
	d.Permissions = append(d.Permissions, permission{user, vhost, "^" + queues + "$", "^(" + queues + `|amq\.topic)$`, "^(" + queues + `|amq\.topic)$`})
	d.TopicPermissions = append(d.TopicPermissions, topicPermission{user, vhost, exchange, write, read})
}
