package browsertest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"
)

// firefoxes are the processes, by the languages that their pages get, each with its session:
// Firefox prefers the same ones in all its profiles.
var firefoxes sync.Map // of *process[*bidi]

// StartFirefox returns a profile of a Firefox, which ends with the test. Without
// GATEWAY_TEST_LONG the test is skipped: what it tests is tested in Chromium all the same.
func StartFirefox(t testing.TB) *Browser {
	t.Helper()
	if os.Getenv("GATEWAY_TEST_LONG") == "" {
		t.Skip("in Firefox: only with GATEWAY_TEST_LONG=1, as in scripts/test")
	}
	path := find(t, "firefox-esr", "firefox-esr", "firefox")
	profiles := map[string]func(p *Page, o Options) (tab, func(), error){}
	return &Browser{newTab: func(p *Page, o Options) (tab, func(), error) {
		if profiles[o.Language] == nil {
			profiles[o.Language] = firefoxProfile(t, path, cmp.Or(o.Language, "en-GB,en"))
		}
		return profiles[o.Language](p, o)
	}}
}

// firefoxProfile makes a profile, and returns what opens tabs in it.
func firefoxProfile(t testing.TB, path, languages string) func(p *Page, o Options) (tab, func(), error) {
	t.Helper()
	firefox, _ := firefoxes.LoadOrStore(languages, new(process[*bidi]))
	session := firefox.(*process[*bidi]).use(t, path, func(path string) (*bidi, func(), error) { return launchFirefox(path, languages) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var profile struct{ UserContext string }
	if err := session.call(ctx, "browser.createUserContext", object{}, &profile); err != nil {
		t.Fatalf("%s has no new profile: %v", path, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := session.call(ctx, "browser.removeUserContext", object{"userContext": profile.UserContext}, nil); err != nil {
			t.Errorf("%s keeps a profile: %v", path, err)
		}
	})
	return func(p *Page, o Options) (tab, func(), error) {
		return newFirefoxTab(session, profile.UserContext, p, o)
	}
}

// firefoxPrefs make one page like another, on any machine: no windows of welcome, no
// connections of the browser's own, and always online.
const firefoxPrefs = `
user_pref("app.normandy.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.ipc.processPrelaunch.enabled", false);
user_pref("layout.css.prefers-color-scheme.content-override", 1);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.manage-offline-status", false);
user_pref("toolkit.telemetry.enabled", false);
`

// listeningForm is what Firefox writes once it can be driven.
var listeningForm = regexp.MustCompile(`WebDriver BiDi listening on (ws://[^\s/]+)`)

// launchFirefox starts the Firefox at path, whose pages get these languages; stop ends it
// and removes its files.
func launchFirefox(path, languages string) (session *bidi, stop func(), err error) {
	dir, err := os.MkdirTemp("", "gateway-test-firefox-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // what stays is in the machine's directory of temporary files
	cmd, err := firefoxCommand(path, dir, languages)
	if err != nil {
		remove()
		return nil, nil, err
	}
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		remove()
		return nil, nil, err
	}
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if m := listeningForm.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	end := func() {
		_ = cmd.Process.Kill() // it may have ended
		<-read
		_ = cmd.Wait()
		remove()
	}
	if session, err = connectFirefox(address, read); err != nil {
		end()
		return nil, nil, err
	}
	return session, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := session.call(ctx, "browser.close", object{}, nil); err == nil {
			select { // its processes end in their order
			case <-read:
			case <-ctx.Done():
			}
		}
		session.close()
		end()
	}, nil
}

// firefoxCommand is a Firefox that has its files in dir.
func firefoxCommand(path, dir, languages string) (*exec.Cmd, error) {
	profile := filepath.Join(dir, "profile")
	fonts, err := writeFonts(dir)
	if err == nil {
		err = os.Mkdir(profile, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(profile, "user.js"), fmt.Appendf(nil, "%suser_pref(%q, %q);\n", firefoxPrefs, "intl.accept_languages", languages), 0o600)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+dir, "LANG=en_GB.UTF-8", "LANGUAGE=en_GB", "TZ=Europe/Berlin", "FONTCONFIG_FILE="+fonts)
	return cmd, err
}

// connectFirefox begins the session with the one that says its address, unless it ends before.
func connectFirefox(address <-chan string, ended <-chan struct{}) (*bidi, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case url := <-address:
		return dialBiDi(ctx, url, object{"acceptInsecureCerts": true}, "log.entryAdded", "network.beforeRequestSent")
	case <-ended:
		return nil, errors.New("it ended before it listened")
	case <-ctx.Done():
		return nil, fmt.Errorf("it does not listen after %v", patience)
	}
}
