//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sensorgateway/gateway/enroll"
)

// broker is the MQTT broker between gateways and hubs.
type broker struct {
	o       options
	dir     string
	name    string
	urls    []string
	ports   map[int]bool
	cmd     *exec.Cmd // Mosquitto
	started bool
}

func newBroker(o options) *broker {
	b := &broker{o: o, dir: filepath.Join(o.dir, "broker"), ports: map[int]bool{}}
	ports := []int{18881, 18882, 18883} // of scripts/cluster
	b.name = "three nodes of RabbitMQ 4, quorum queues"
	if o.mosquitto {
		ports, b.name = []int{18884}, "one Mosquitto"
	}
	for _, port := range ports {
		b.ports[port] = true
		b.urls = append(b.urls, fmt.Sprintf("mqtts://localhost:%d", port))
	}
	return b
}

// start starts it with its files in configs, and a certificate of the fleet's
// authority.
func (b *broker) start(ctx context.Context, authority *enroll.Authority, hub *hub) error {
	for _, dir := range []string{b.dir, filepath.Join(b.dir, "hub"), filepath.Join(b.dir, "etc")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	pair, err := authority.Server("localhost", []string{"localhost"}, time.Now())
	if err == nil {
		err = enroll.WritePair(filepath.Join(b.dir, "etc"), "broker", pair)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "hub", "ca.crt"), authority.PEM(), 0o644)
	}
	if err != nil {
		return err
	}
	b.started = true
	if !b.o.mosquitto {
		return b.cluster(ctx, "start")
	}
	return b.startMosquitto(ctx, hub)
}

// letIn lets in the gateways that have enrolled.
func (b *broker) letIn(ctx context.Context, hub *hub) error {
	if b.o.mosquitto { // it lets in every client with a certificate of the authority
		return nil
	}
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, b.o.program, "hub", "list", "--rabbitmq", "--state", hub.dir)
	cmd.Stderr = &errs
	users, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("gateway hub list --rabbitmq: %w: %s", err, errs.Bytes())
	}
	file := filepath.Join(b.dir, "users.json")
	if err := os.WriteFile(file, users, 0o600); err != nil {
		return err
	}
	return b.cluster(ctx, "users", file)
}

// cluster runs scripts/cluster.
func (b *broker) cluster(ctx context.Context, action string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.o.scripts, "cluster"), append([]string{action, b.dir}, args...)...)
	cmd.WaitDelay = time.Second // the nodes keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("scripts/cluster %s: %w: %s", action, err, out)
	}
	return nil
}

func (b *broker) startMosquitto(ctx context.Context, hub *hub) error {
	etc := filepath.Join(b.dir, "etc")
	for _, name := range []string{"ca.crt", "ca.crl"} {
		data, err := os.ReadFile(filepath.Join(hub.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(etc, name), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	as := strings.NewReplacer("/etc/mosquitto/", etc+"/", "/var/lib/mosquitto/", b.dir+"/", "listener 8883", "user root\nlistener 18884 127.0.0.1")
	for _, name := range []string{"mosquitto.conf", "mosquitto.acl"} {
		text, err := os.ReadFile(filepath.Join(b.o.scripts, "..", "configs", name))
		if err != nil {
			return err
		}
		all := as.Replace(string(text))
		if _, hubs, ok := strings.Cut(all, "user hub.hub-a\n"); ok && name == "mosquitto.acl" {
			all += "\nuser hub.hub-b\n" + hubs
		}
		if err := os.WriteFile(filepath.Join(etc, name), []byte(all), 0o600); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(b.dir, "mosquitto.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	b.cmd = exec.Command("mosquitto", "-c", filepath.Join(etc, "mosquitto.conf"))
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("%w; fix: apt install mosquitto", err)
	}
	return await(ctx, patience, func() error {
		c, err := net.Dial("tcp", "127.0.0.1:18884")
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%w: %s", err, text)
		}
		return c.Close()
	})
}

// stop kills it; its files are not needed any more.
func (b *broker) stop() error {
	switch {
	case !b.started:
		return nil
	case !b.o.mosquitto:
		return b.cluster(context.Background(), "kill")
	case b.cmd == nil || b.cmd.Process == nil:
		return nil
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	return nil
}
