package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sensorgateway/cmd/gateway/internal/machine"
	"sensorgateway/gateway/pins"
)

// checkListen opens the port, and reads the certificate.
func (p *Patient) checkListen(r *Report) {
	if p.CfgErr != nil {
		return
	}
	switch sockets, err := machine.Listen(p.Cfg.Listen); {
	case p.Gateway != "" && !errors.Is(err, syscall.EADDRNOTAVAIL):
		r.Add("port", Pass, "", "the gateway listens at %s", p.Cfg.Listen)
		for _, s := range sockets {
			_ = s.Close()
		}
	case err != nil:
		r.Add("port", Fail, "", "%v", err)
	default:
		for _, s := range sockets {
			_ = s.Close() // nobody was there yet
		}
		r.Add("port", Pass, "", "%s is free", p.Cfg.Listen)
	}
	p.checkCertificate(r)
}

// soon is how long before its end a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

func (p *Patient) checkCertificate(r *Report) {
	t := p.Cfg.TLS
	if t == nil {
		return
	}
	const renew = "renew it, then: sudo systemctl reload gateway"
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		r.Add("certificate", Fail, "give it to the user of the service, mode 0640; gateway cert makes one for a first try", "%v", err)
		return
	}
	if t.Clients != "" {
		text, err := os.ReadFile(t.Clients)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s: no certificate in PEM form in it", t.Clients)
		}
		if err != nil {
			r.Add("certificate", Fail, "name the certificates of the clients' authorities, or remove tls.clients", "%v", err)
			return
		}
	}
	info, err := os.Stat(t.Key)
	left := leaf.NotAfter.Sub(p.Now)
	switch {
	case left <= 0:
		r.Add("certificate", Fail, renew, "%s has expired on %s", t.Cert, leaf.NotAfter.Format(time.DateOnly))
	case p.Now.Before(leaf.NotBefore):
		r.Add("certificate", Fail, "set the clock: sudo timedatectl set-ntp true", "%s holds from %s on only", t.Cert, leaf.NotBefore.Format(time.DateTime))
	case err == nil && info.Mode().Perm()&0o007 != 0:
		r.Add("certificate", Warn, "sudo chmod 640 "+t.Key, "everybody on this machine may read the key %s", t.Key)
	case left < soon:
		r.Add("certificate", Warn, renew, "%s expires on %s", t.Cert, leaf.NotAfter.Format(time.DateOnly))
	default:
		r.Add("certificate", Pass, "", "%s holds until %s", t.Cert, leaf.NotAfter.Format(time.DateOnly))
	}
}

const (
	minFree = 64 << 20
	// wornOut is the estimate of a card's life in steps of 10 % (JEDEC eMMC 5.0,
	// DEVICE_LIFE_TIME_EST): 0x0B is beyond its life.
	wornOut = 9
)

// checkState looks at where the readings are stored.
func (p *Patient) checkState(r *Report) {
	dir := p.Cfg.State
	if dir == "" {
		dir = DefaultState
		if _, err := os.Stat(filepath.Join(p.Root, dir)); err != nil {
			r.Add("state", Skip, "", "no state: directory in the configuration, and no %s", dir)
			return
		}
	}
	path := filepath.Join(p.Root, dir)
	free, total, err := freeBytes(path)
	evidence := fmt.Sprintf("%s: %d MiB free of %d", dir, free>>20, total>>20)
	errorsFound := p.fileSystemErrors()
	life, _ := strconv.ParseUint(firstWord(p.text("sys/block/mmcblk0/device/life_time")), 0, 8) // 0 on most cards: not known
	switch {
	case err != nil:
		r.Add("state", Fail, "sudo install -d -o gateway -g gateway -m 750 "+dir, "%s: %v", dir, err)
	case p.readOnly(dir):
		r.Add("state", Fail, "sudo dmesg says why the kernel made it read-only; most often the card is failing: replace it", "%s is on a read-only file system", dir)
	case free < minFree:
		r.Add("state", Fail, "make room, or let history: keep less", "%s", evidence)
	case errorsFound != "":
		r.Add("state", Warn, "back up the card, and check it: sudo touch /forcefsck && sudo reboot", "%s; %s", evidence, errorsFound)
	case life >= wornOut:
		r.Add("state", Warn, "replace the card", "%s; the card has used %d0 %% of its life", evidence, life)
	case p.Gateway == "" && mayWrite(path) != nil:
		r.Add("state", Warn, "run it as the user of the service: sudo -u gateway gateway doctor", "%s; %s may not write there", evidence, p.User.name)
	default:
		r.Add("state", Pass, "", "%s", evidence)
	}
}

// DefaultState is where the service stores its readings.
const DefaultState = "/var/lib/gateway"

// readOnly reports whether the file system of a directory is mounted read-only.
func (p *Patient) readOnly(dir string) bool {
	longest, ro := "", false
	for line := range strings.Lines(p.text("proc/self/mounts")) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(dir+"/", strings.TrimSuffix(f[1], "/")+"/") || len(f[1]) < len(longest) {
			continue
		}
		longest, ro = f[1], slices.Contains(strings.Split(f[3], ","), "ro")
	}
	return ro
}

// fileSystemErrors returns what ext4 has counted, "" if nothing.
func (p *Patient) fileSystemErrors() string {
	files, _ := filepath.Glob(filepath.Join(p.Root, "sys/fs/ext4/*/errors_count")) // fails for a malformed pattern only
	for _, f := range files {
		b, err := os.ReadFile(f)
		if n, parseErr := strconv.Atoi(strings.TrimSpace(string(b))); errors.Join(err, parseErr) == nil && n > 0 {
			return fmt.Sprintf("%d errors of the file system on %s", n, filepath.Base(filepath.Dir(f)))
		}
	}
	return ""
}

// checkUnit asks systemd about the service.
func (p *Patient) checkUnit(r *Report) {
	text, err := p.Command("systemctl", "show", "gateway.service", "--property", "LoadState,ActiveState,Result,NRestarts,SupplementaryGroups,DeviceAllow,ProtectKernelTunables,ReadWritePaths")
	if err != nil {
		r.Add("service", Skip, "", "systemctl: %v", err)
		return
	}
	properties := map[string]string{}
	var devices []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
		if key == "DeviceAllow" {
			devices = append(devices, value)
		}
	}
	state := fmt.Sprintf("%s, result %s, %s restarts", properties["ActiveState"], properties["Result"], properties["NRestarts"])
	restarts, _ := strconv.Atoi(properties["NRestarts"]) // "" for a unit that never ran
	lacks, fix := p.unitLacks(properties, strings.Join(devices, " "))
	switch {
	case properties["LoadState"] != "loaded":
		r.Add("service", Skip, "", "there is no gateway.service")
	case properties["ActiveState"] == "failed" || restarts > 0 && properties["ActiveState"] != "active":
		r.Add("service", Fail, "journalctl -u gateway -n 50", "%s", state)
	case lacks != "":
		r.Add("service", Fail, "sudo systemctl edit gateway, and add "+fix, "%s; %s", state, lacks)
	case restarts > 0:
		r.Add("service", Warn, "journalctl -u gateway says why it ended", "%s", state)
	default:
		r.Add("service", Pass, "", "%s", state)
	}
}

// unitLacks says what the service may not use of what is configured, "" if it may use
// everything, and the line that it needs.
func (p *Patient) unitLacks(properties map[string]string, devices string) (lacks, fix string) {
	groups := strings.Fields(properties["SupplementaryGroups"])
	lines, chips := p.outputs()
	for _, need := range []struct {
		wanted bool
		group  string
		allow  string   // the devices
		any    []string // what else they may be called there
		what   string
	}{
		{len(p.onBuses()) > 0, "i2c", "char-89", []string{"i2c"}, "I²C devices"},
		{lines, "gpio", "char-gpiochip", []string{"/dev/gpiochip"}, "GPIO lines"},
		{len(chips) > 0, "gpio", "", nil, ""},
	} {
		switch {
		case !need.wanted:
		case !slices.Contains(groups, need.group):
			return "it is not in the group " + need.group, "SupplementaryGroups=" + need.group
		case devices != "" && !slices.ContainsFunc(append(need.any, need.allow), func(name string) bool { return strings.Contains(devices, name) }):
			return "it may not use " + need.what + ": " + devices, "DeviceAllow=" + need.allow + " rw"
		}
	}
	for _, chip := range chips {
		path := "/sys/class/pwm/" + chip
		writable := slices.ContainsFunc(strings.Fields(properties["ReadWritePaths"]), func(w string) bool { return strings.TrimLeft(w, "-+") == path })
		if properties["ProtectKernelTunables"] == "yes" && !writable {
			return "it may not write to " + path, "ReadWritePaths=-" + path
		}
	}
	return "", ""
}

// outputs returns whether motors have GPIO lines, and which PWM chips they have.
func (p *Patient) outputs() (lines bool, chips []string) {
	for _, m := range p.Cfg.Motors {
		for _, pin := range m.Output.Pins() {
			if chip, _, channel := strings.Cut(pin, "/"); channel && pins.IsChannel(pin) {
				chips = append(chips, chip)
			} else {
				lines = true
			}
		}
	}
	return lines, chips
}
