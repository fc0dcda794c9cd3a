// Package credential finds the token that a command shows to a gateway. It is never an
// argument, which every user of the machine can read in the list of processes.
//
// It refuses to know how the token is sent.
package credential

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"sensorgateway/gateway/access/tokens"
)

// Variable is the environment variable with a token.
const Variable = "GATEWAY_TOKEN"

// maxFile is how much of a file is read: a thousand tokens.
const maxFile = 1 << 20

// Find returns the token for the gateway at u, "" if there is none: the first line of
// file, if that is not "", else the variable, else the gateway's line in
// ~/.config/gateway/tokens.
func Find(file string, u *url.URL, getenv func(string) string) (string, error) {
	if file != "" {
		text, err := read(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		first, _, _ := strings.Cut(text, "\n")
		return checked("--token-file "+file, strings.TrimSpace(first))
	}
	if token := strings.TrimSpace(getenv(Variable)); token != "" {
		return checked(Variable, token)
	}
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" {
		if dir = getenv("HOME"); dir == "" {
			return "", nil
		}
		dir = filepath.Join(dir, ".config")
	}
	file = filepath.Join(dir, "gateway", "tokens")
	text, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return lookUp(file, text, u.Host)
}

// lookUp returns the token of a host in lines of "HOST:PORT TOKEN"; the port is that of
// the URL as it is completed. A token for one gateway is shown to no other.
func lookUp(file, text, host string) (string, error) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) != 2:
			return "", fmt.Errorf("%s:%d: a line is HOST:PORT and a token", file, n)
		case strings.EqualFold(words[0], host):
			return checked(fmt.Sprintf("%s:%d", file, n), words[1])
		}
	}
	return "", lines.Err()
}

// read reads a file that only its owner can read.
func read(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows": // where modes have no meaning
		return "", fmt.Errorf("%s: others can read it; fix: chmod 600 %[1]s", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(text), err
}

// checked returns the token if it can be one. No error has it in it.
func checked(where, token string) (string, error) {
	if err := tokens.CheckText(token); err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	return token, nil
}
