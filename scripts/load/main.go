//go:build linux

// Command load measures a gateway from outside: it starts the program with
// emulated chips, connects thousands of clients over loopback, and prints what
// they cost and how long they wait. scripts/bench runs it.
//
// It knows the program's flags and what everybody can see of it: the stream,
// /metrics, and its entries in /proc. It refuses to know the program's internals.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// maxWindow is shorter than the time after which a gateway closes clients that never
// read.
const maxWindow = 25 * time.Second

func main() {
	program := flag.String("gateway", "", "the gateway's `binary`")
	window := flag.Duration("window", 20*time.Second, "how long each row is measured")
	only := flag.String("only", "", "make this measurement alone: rest, beside, fanout, stalled, storm or churn")
	soak := flag.Bool("soak", false, "attack a gateway for ten minutes instead, and measure what that costs")
	short := flag.Bool("short", false, "with -soak: for 20 seconds")
	bare := flag.Bool("bare", false, "be the bare loop that the gateway is compared with, until an interrupt")
	pause := flag.Duration("pause", 0, "with -bare: how long it waits in each tick, as for a chip that converts")
	attack := flag.String("attack", "", "attack the gateway at `host:port` until an interrupt, for -soak")
	flag.Parse()
	if *program == "" && *attack == "" && !*bare || flag.NArg() > 0 || *window < time.Second || *window > maxWindow {
		fmt.Fprintf(os.Stderr, "usage: load -gateway BINARY [-soak [-short] | -window DURATION], a window from 1s to %v\n", maxWindow)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one ends it at once
	b := bench{ctx: ctx, program: *program, window: *window, only: *only, out: os.Stdout}
	run := b.run
	if *attack != "" {
		run = func() error { return attackAll(ctx, *attack) }
	}
	if *bare {
		run = func() error { return serveBare(ctx, *pause) }
	}
	if *soak {
		long := soakTime
		if *short {
			long = shortSoak
		}
		run = func() error { return b.soak(long) }
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}
