package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sensorgateway/cmd/gateway/internal/backup"
	"sensorgateway/cmd/gateway/internal/console"
	"sensorgateway/cmd/gateway/internal/phrase"
	"sensorgateway/cmd/gateway/internal/state"
)

// Backup copies the state of a gateway. name is the gateway's, for people.
func Backup(env console.Env, here Installed, name string) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the gateway's state into one file: readings, tokens, audit log, a latched e-stop",
		Long: "Copies the state directory of a gateway on this machine into one file. The gateway may be running: the copy has all\n" +
			"that was stored when it was begun. It has the hashes of the tokens and the key of the audit log, so only its\n" +
			"owner may read it; keep it so. The configuration is not in it.",
		Example: "  sudo gateway backup /mnt/usb/gateway.backup",
		Args:    oneFile,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := here.State()
			if err != nil {
				return err
			}
			path := args[0]
			if err := checkPaths(path, dir, force); err != nil {
				return err
			}
			s, err := backup.Write(path, dir, backup.Head{Gateway: name, Version: env.Version, Made: time.Now().UTC()})
			if err != nil {
				return explainState(dir, err)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %s of %s\n", path, size(s), dir)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	cmd.Flags().AddFlagSet(here.Flags)
	return cmd
}

// Restore makes a state directory of a backup.
func Restore(env console.Env, here Installed) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace the gateway's state with that of a backup",
		Long: "Replaces the state directory of a gateway on this machine with that of a backup. The gateway must be stopped.\n" +
			"Its sequence numbers begin another epoch, so that none is given twice: clients that count them begin anew, and\n" +
			"older readings stay. An e-stop that is latched now stays latched. Nothing is replaced before the whole file\n" +
			"was found to be as it was made.",
		Example: "  sudo systemctl stop gateway\n  sudo gateway restore /mnt/usb/gateway.backup\n  sudo systemctl start gateway",
		Args:    oneFile,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := here.State()
			if err != nil {
				return err
			}
			return restore(env, args[0], dir, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a state that is there; it is lost")
	cmd.Flags().AddFlagSet(here.Flags)
	return cmd
}

func restore(env console.Env, path, dir string, force bool) error {
	if _, err := backup.Check(path); err != nil {
		err = fmt.Errorf("%s cannot be restored: %w", phrase.Quote(path), err)
		if errors.Is(err, backup.ErrDamaged) {
			err = fmt.Errorf("%w; fix: use another copy of it, or another backup; nothing was changed", err)
		} else {
			err = fmt.Errorf("%w; fix: name a file that gateway backup has written, and that this user may read", err)
		}
		return err
	}
	lock, err := state.Claim(dir)
	if err != nil {
		return fmt.Errorf("a gateway runs with this state: %w; for the service: sudo systemctl stop gateway", err)
	}
	if lock != nil {
		defer lock.Close()
	}
	there, err := backup.InUse(dir)
	if err != nil {
		return explainState(dir, err)
	}
	if len(there) > 0 && !force {
		return fmt.Errorf("%s has a state already (%s); fix: name another directory with --state, or replace it with --force: make a backup of it first", dir, strings.Join(there, ", "))
	}
	s, err := backup.Restore(path, dir, latched)
	if err != nil {
		return explainState(dir, err)
	}
	estop := ""
	if s.EStopStays {
		estop = "The e-stop is latched, and was not in the backup: it stays latched until it is reset.\n"
	}
	_, err = fmt.Fprintf(env.Stdout, "%s: %s of %s, as of %s\n%sThe next start begins another epoch. gateway audit verify says what the audit log proves.\n",
		dir, size(s), s.Gateway, s.Made.Format(time.RFC3339), estop)
	return err
}

// latched returns whether the next start with a state directory finds the e-stop latched.
func latched(dir string) bool {
	by, _ := state.NewLatch(dir, nil, slog.New(slog.DiscardHandler)).Read()
	return by != ""
}

func size(s backup.Summary) string {
	return fmt.Sprintf("%d files, %.1f MiB", s.Files, float64(s.Bytes)/(1<<20))
}

// checkPaths returns why a backup of a state directory is not written to path, nil if
// it may be.
func checkPaths(path, dir string, force bool) error {
	if _, err := os.ReadDir(dir); err != nil {
		return explainState(dir, err)
	}
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s is there already; fix: name another file, or replace it with --force", phrase.Quote(path))
	}
	if inside(path, dir) {
		return fmt.Errorf("%s is in the state directory itself; fix: name a file elsewhere, on another disk if there is one", phrase.Quote(path))
	}
	if into := filepath.Dir(path); !isDir(into) {
		return fmt.Errorf("%s is no directory; fix: mount the disk that it is on, or mkdir -p %[1]s", into)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// inside reports whether a file would be in a directory.
func inside(path, dir string) bool {
	path, err := filepath.Abs(path)
	dir, err2 := filepath.Abs(dir)
	if errors.Join(err, err2) != nil {
		return false
	}
	between, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(between)
}

func explainState(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; fix: make room on that disk (a restore needs as much again as the state that it replaces); nothing was replaced", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; fix: run this as the owner of %s, or as root (sudo)", err, dir)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; fix: name the gateway's state directory with --state", err)
	}
	return err
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return console.UsageError{Err: fmt.Errorf("%s takes the name of one file: see %s --help", cmd.Name(), cmd.CommandPath())}
	}
	return nil
}
