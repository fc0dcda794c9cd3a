//go:build linux

package gateway

import (
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/wire"
)

// As in gorilla's chat example.
const (
	chatQueue = 256 // messages
	chatWait  = 10 * time.Second
	chatPing  = 54 * time.Second
)

// chatFanout is the pattern of gorilla's chat example: a hub with a map of its
// clients, and for each of them a channel, a goroutine that writes what comes
// out of it, and one that reads.
func chatFanout(b *testing.B) fanout {
	join, broadcast := make(chan chan []byte), make(chan []byte)
	var goroutines sync.WaitGroup
	goroutines.Go(func() { chatHub(b, join, broadcast) })
	addr := upgrading(b, func(c *websocket.Conn) {
		queue := make(chan []byte, chatQueue)
		join <- queue
		goroutines.Go(func() { chatWriter(c, queue) })
		goroutines.Go(func() {
			defer c.Close()
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		})
	})
	b.Cleanup(func() { close(broadcast); goroutines.Wait() })
	return fanout{"chat", addr, func(tick []wire.Record) { broadcast <- message(tick) }}
}

// chatHub gives each message to all clients until there are no more messages.
func chatHub(b *testing.B, join <-chan chan []byte, broadcast <-chan []byte) {
	clients := map[chan []byte]bool{}
	for {
		select {
		case queue := <-join:
			clients[queue] = true
		case message, ok := <-broadcast:
			if !ok {
				for queue := range clients {
					close(queue)
				}
				return
			}
			for queue := range clients {
				select {
				case queue <- message:
				default:
					b.Error("chat: a queue is full")
				}
			}
		}
	}
}

// chatWriter writes a client's messages until its queue is closed.
func chatWriter(c *websocket.Conn, queue <-chan []byte) {
	ping := time.NewTicker(chatPing)
	defer ping.Stop()
	defer c.Close()
	for {
		var err error
		select {
		case message, ok := <-queue:
			if !ok {
				return
			}
			err = chatWrite(c, websocket.BinaryMessage, message)
		case <-ping.C:
			err = chatWrite(c, websocket.PingMessage, nil)
		}
		if err != nil {
			return
		}
	}
}

func chatWrite(c *websocket.Conn, kind int, message []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(chatWait)) // it cannot fail
	if kind == websocket.PingMessage {
		return c.WriteMessage(kind, nil)
	}
	w, err := c.NextWriter(kind)
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}
