//go:build !nohub

package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/gateway/enroll"
	"sensorgateway/gateway/fleet"
	"sensorgateway/gateway/hub"
	"sensorgateway/gateway/statefile"
)

// keysCheck is how often the files of keys are read, if the system cannot say that they
// have changed.
const keysCheck = 10 * time.Second

func (h *here) key() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List, add and remove the keys with which hubs sign orders, on all gateways",
		Long: "Says which hubs may command gateways. Each hub signs its orders with a key of its own, and a gateway takes those whose key\n" +
			"it knows. A hub that gateways know makes another one known to them, by an order that it signs: those that are connected\n" +
			"have it at once, the others when they come. So it also removes one.",
		Args: console.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(h.listKeys(), h.addKey(), h.removeKey())
	return cmd
}

// keys returns what the files of keys say. There may be none yet.
func (h *here) keys() (k fleet.HubKeys, err error) {
	known, err := enroll.HubKeys(h.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		if k.Known, err = fleet.ParseHubKeys(known); err != nil {
			return k, fmt.Errorf("hubs.keys: %w", err)
		}
		var removed []byte
		removed, err = enroll.RemovedKeys(h.dir())
		k.Removed = fingerprints(removed)
	}
	return k, err
}

// givenKeys returns the list of keys that a device is given now. A removed key is left out,
// also if the list still has it: a removal counts before the list is written.
func (h *here) givenKeys() ([]byte, error) {
	list, err := enroll.HubKeys(h.dir())
	if err != nil {
		return nil, err
	}
	removed, err := enroll.RemovedKeys(h.dir())
	for _, f := range fingerprints(removed) {
		list = fleet.RemoveHubKey(list, f)
	}
	return list, err
}

// fingerprints returns the first word of each line.
func fingerprints(lines []byte) (all []string) {
	for line := range strings.Lines(string(lines)) {
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, words[0])
		}
	}
	return all
}

func (h *here) listKeys() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys with which hubs sign orders, and on how many gateways each is",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := h.keys()
			if err != nil {
				return explain(h.dir(), err)
			}
			own, err := enroll.OwnKey(h.dir())
			if errors.Is(err, fs.ErrNotExist) {
				return errors.New("this hub has no key yet: it makes one when it runs first; fix: start it, or name its state directory with --state")
			}
			if err != nil {
				return explain(h.dir(), err)
			}
			on, all := h.knownKeys()
			w := tabwriter.NewWriter(h.env.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "FINGERPRINT\tON GATEWAYS\tKEY, HUB")
			var left []string // to be done
			for _, k := range keys.Known {
				mark := ""
				if own.Equal(k.Key) {
					mark = " (this hub)"
				}
				f := k.Fingerprint()
				fmt.Fprintf(w, "%s\t%d of %d\t%s%s\n", f, len(on[f]), len(all), k.Entry(), mark)
				if lack := without(all, on[f]); len(lack) > 0 {
					left = append(left, f+" is not on "+some(lack))
				}
				delete(on, f)
			}
			for _, f := range keys.Removed {
				fmt.Fprintf(w, "%s\t%d of %d\tremoved\n", f, len(on[f]), len(all))
				if len(on[f]) > 0 {
					left = append(left, f+" is still on "+some(on[f]))
				}
				delete(on, f)
			}
			for _, f := range slices.Sorted(maps.Keys(on)) {
				fmt.Fprintf(w, "%s\t%d of %d\tnot known to this hub\n", f, len(on[f]), len(all))
			}
			if err := w.Flush(); err != nil || len(left) == 0 {
				return err
			}
			_, err = fmt.Fprintf(h.env.Stdout, "\n%s\nEach is told when it is connected, by a hub that runs, has this list, and whose key it knows.\n", strings.Join(left, "\n"))
			return err
		},
	}
}

// knownKeys returns, for each key, the gateways that have it, and all gateways that have said
// which keys they have, in the order of their names.
func (h *here) knownKeys() (on map[string][]string, all []string) {
	on = map[string][]string{}
	for _, m := range enroll.OpenMembers(h.dir()).All() {
		if !m.Revoked.IsZero() {
			continue
		}
		keys, err := hub.HubKeysOf(filepath.Join(h.dir(), gatewaysDir), m.Name)
		if err != nil || keys == nil { // another hub's, or one that was never here
			continue
		}
		all = append(all, m.Name)
		for _, k := range keys {
			on[k] = append(on[k], m.Name)
		}
	}
	return on, all
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(others, n) })
}

// some returns names for people: not all of a thousand.
func some(names []string) string {
	const most = 8
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (h *here) addKey() *cobra.Command {
	return &cobra.Command{
		Use:   "add KEY HUB",
		Short: "Make a hub's key known to all gateways",
		Long: "Makes the key of another hub known to all gateways of this hub's sites: that hub may command them from then on. KEY and HUB\n" +
			"are as gateway hub key list shows them there.",
		Example: "  gateway hub key add '7ffhKohnwKI8XvG0+IDQXDGRYLxe20+gXdfKEV2a450= hub-b'",
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := fleet.ParseHubKey(strings.Join(args, " "))
			if err == nil {
				err = fleet.CheckName(k.Name)
			}
			if err != nil {
				return console.UsageError{Err: fmt.Errorf("add takes a hub's key and its name, as gateway hub key list shows them at that hub: %w", err)}
			}
			err = enroll.ChangeHubKeys(h.dir(), func(keys, removed []byte) ([]byte, []byte, error) {
				all, err := fleet.ParseHubKeys(keys)
				if err != nil {
					return nil, nil, fmt.Errorf("hubs.keys: %w; fix: start this hub once, which makes its own key", err)
				}
				removed = notRemoved(removed, k.Fingerprint())
				switch at := slices.IndexFunc(all, func(x fleet.HubKey) bool { return x.Fingerprint() == k.Fingerprint() }); {
				case at >= 0:
					return keys, removed, nil
				case len(all) >= fleet.MaxHubKeys:
					return nil, nil, fmt.Errorf("there are %d keys already, and gateways have room for no more; fix: remove one that no hub uses", len(all))
				}
				return fleet.AppendHubKey(keys, k), removed, nil
			})
			if err != nil {
				return explain(h.dir(), err)
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s of %s is told to all gateways while this hub runs: gateway hub key list shows which do not have it yet\n", k.Fingerprint(), k.Name)
			return err
		},
	}
}

// notRemoved returns the lines of removed keys, without the line of that fingerprint.
func notRemoved(lines []byte, fingerprint string) (rest []byte) {
	for line := range strings.Lines(string(lines)) {
		if !strings.HasPrefix(line, fingerprint) {
			rest = append(rest, line...)
		}
	}
	return rest
}

func (h *here) removeKey() *cobra.Command {
	return &cobra.Command{
		Use:   "remove FINGERPRINT",
		Short: "Have all gateways forget a hub's key",
		Long: "Has all gateways of this hub's sites forget the key of another hub, which may command them no longer. The hub whose key it\n" +
			"is cannot do that itself.",
		Example: "  gateway hub key remove 0123456789abcdef",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && fleet.CheckFingerprint(args[0]) == nil {
				return nil
			}
			return console.UsageError{Err: errors.New("remove takes the fingerprint of a key, 16 hexadecimal digits as gateway hub key list shows them")}
		},
		RunE: func(_ *cobra.Command, args []string) error {
			own, err := enroll.OwnKey(h.dir())
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return explain(h.dir(), err)
			}
			if err == nil && fleet.Fingerprint(own) == args[0] {
				return errors.New("that is this hub's own key: gateways forget it when another hub, whose key they know, has removed it; fix: gateway hub key remove there")
			}
			err = enroll.ChangeHubKeys(h.dir(), func(keys, removed []byte) ([]byte, []byte, error) {
				name := ""
				all, _ := fleet.ParseHubKeys(keys) // without keys there is none to be named
				for _, k := range all {
					if k.Fingerprint() == args[0] {
						name = " " + k.Name
					}
				}
				return fleet.RemoveHubKey(keys, args[0]), append(notRemoved(removed, args[0]), args[0]+name+"\n"...), nil
			})
			if err != nil {
				return explain(h.dir(), err)
			}
			on, all := h.knownKeys()
			if strangers := without(all, on[fleet.Fingerprint(own)]); own != nil && len(strangers) > 0 {
				fmt.Fprintf(h.env.Stderr, "not yet from %s: they do not know this hub's key. Leave the hub whose key it is running until they do: gateway hub key list\n", some(strangers))
			}
			_, err = fmt.Fprintf(h.env.Stdout, "%s is removed from all gateways that know this hub's key, while it runs: gateway hub key list shows which still have it\n", args[0])
			return err
		},
	}
}

// followKeys passes on what the files of keys say, whenever they have changed, until ctx
// ends.
func (h *here) followKeys(registry *hub.Registry, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		changed, stop := statefile.Watch(h.dir())
		defer stop()
		tick := time.NewTicker(keysCheck)
		defer tick.Stop()
		last := ""
		for {
			keys, err := h.keys()
			now := fmt.Sprint(keys, err)
			switch {
			case now == last:
			case err != nil:
				log.Error("the keys of hubs cannot be read: gateways keep those that they have", "err", err)
			default:
				registry.SetKeys(keys)
			}
			last = now
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			case _, open := <-changed:
				if !open {
					changed = nil // the tick remains
				}
			}
		}
	}
}
