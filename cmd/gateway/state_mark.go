package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A mark is an empty file in memory that is there while the log of readings has
// every number that is out. It outlives a process that is killed, and not the
// machine; and no disk is waited for when it goes, which is when one has stalled.
// Where it was lost, or there is none, the log is not trusted.
type mark struct {
	path string // "" if there is none
	set  bool
}

// markDir returns where marks can be: the service's own directory in memory,
// for systemd clears away what its user leaves in others, or else everybody's.
func markDir(getenv func(string) string) string {
	if dir, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return "/dev/shm"
}

// markOf returns the mark in marks of the state in dir, in this boot.
func markOf(marks, dir string) mark {
	abs, err := filepath.Abs(dir)
	boot := bootID()
	if marks == "" || dir == "" || boot == "" || err != nil {
		return mark{}
	}
	id := sha256.Sum256(fmt.Append(nil, boot, os.Geteuid(), abs))
	m := mark{path: filepath.Join(marks, fmt.Sprintf("gateway-%x", id[:16]))}
	info, err := os.Lstat(m.path)
	m.set = err == nil && ownFile(info)
	return m
}

// put sets the mark or takes it away.
func (m *mark) put(set bool) error {
	if m.path == "" || set == m.set {
		return nil
	}
	m.set = set // once: what fails now will fail again
	if !set {
		if err := os.Remove(m.path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(m.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
