package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sensorgateway/gateway/dashboard/browsertest"
	"sensorgateway/wire"
)

// A proxyProgram is one of those that configs/ has a file for.
type proxyProgram struct {
	name, pkg, file string
	// What is replaced in the file for a test, besides the address of the gateway and the
	// paths of certificate and key; PORT and DIR are the test's own.
	change []string
	argv   []string // FILE is its copy of the file
}

var nginxArgs = []string{"-e", "stderr", "-c", "FILE", "-g", "daemon off; master_process off; pid DIR/nginx.pid;"}

// nginxFiles keeps nginx in the directory of the test.
const nginxFiles = `http { client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;`

var proxyPrograms = []proxyProgram{
	{name: "nginx", pkg: "nginx-light", file: "nginx.conf", argv: nginxArgs, change: []string{
		"http {", nginxFiles, "/var/log/nginx/", "DIR/", "listen 443 ", "listen 127.0.0.1:PORT "}},
	{name: "caddy", pkg: "caddy", file: "Caddyfile", argv: []string{"run", "--adapter", "caddyfile", "--config", "FILE"}, change: []string{
		"\ngreenhouse.example {", "\n{\n\tadmin off\n\tauto_https disable_redirects\n}\ngreenhouse.example:PORT {\n\tbind 127.0.0.1"}},
	{name: "haproxy", pkg: "haproxy", file: "haproxy.cfg", argv: []string{"-db", "-f", "FILE"}, change: []string{
		"/etc/haproxy/", "DIR/", "bind :443 ", "bind 127.0.0.1:PORT ", "\tlog /dev/log local0\n\tuser haproxy\n\tgroup haproxy\n", "\tlog stderr format raw local0\n"}},
}

// start runs the program with text as its file, and waits until it listens on address.
func (x proxyProgram) start(t *testing.T, text, dir, address string) {
	t.Helper()
	file := writeFile(t, x.file, text)
	// Caddy keeps files of its own in these.
	argv := []string{"env", "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, findTool(t, x.name, x.pkg)}
	for _, arg := range x.argv {
		argv = append(argv, strings.NewReplacer("FILE", file, "DIR", dir).Replace(arg))
	}
	p := launchGateway(t, argv...)
	for late := time.After(patience); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended: %v\n%s\n%s", x.name, p.err, p.Output(), text)
		case <-late:
			t.Fatalf("%s does not listen on %s after %v", x.name, address, patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// text is its file in configs/.
func (x proxyProgram) text(t *testing.T) string {
	t.Helper()
	return mustRead(t, filepath.Join(projectRoot, "configs", x.file))
}

// startFor runs the program in front of a gateway, with its file in configs/, in which
// addresses and paths are replaced; dir has the certificate. It returns its address.
func (x proxyProgram) startFor(t *testing.T, p *gatewayProcess, dir string) (address string) {
	t.Helper()
	text, address := x.text(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	changes := append([]string{"127.0.0.1:8765", strings.Trim(strings.TrimPrefix(p.URL, "ws:"), "/"), "/etc/gateway/", dir + "/"}, x.change...)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) && changes[i] != "/etc/gateway/" {
			t.Fatalf("no %q in %s", changes[i], x.file)
		}
		text = strings.ReplaceAll(text, changes[i], strings.NewReplacer("PORT", port, "DIR", dir).Replace(changes[i+1]))
	}
	x.start(t, text, dir, address)
	return address
}

// gatewayLines returns the lines of gateway.yaml that a file of configs/ names, without
// listen:.
func gatewayLines(t *testing.T, text string) (lines string) {
	t.Helper()
	_, rest, found := strings.Cut(text, "that belong to it:\n")
	for line := range strings.Lines(rest) {
		line, ok := strings.CutPrefix(line, "#   ")
		if !ok {
			break
		}
		if !strings.HasPrefix(line, "listen: ") {
			lines += line
		}
	}
	if !found || !strings.Contains(lines, "proxies:") {
		t.Fatalf("no lines of gateway.yaml in\n%s", text)
	}
	return lines
}

// makeCert makes a certificate for greenhouse.example in a directory, also with its key
// in one file, and returns who trusts it.
func makeCert(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	if out, err := exec.Command(buildGateway(t), "cert", "--host", "greenhouse.example", "--out", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	crt := mustRead(t, filepath.Join(dir, "gateway.crt"))
	both := crt + mustRead(t, filepath.Join(dir, "gateway.key"))
	if err := os.WriteFile(filepath.Join(dir, "gateway.pem"), []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(crt))
	return pool
}

// Behind each proxy, with the file and the lines of gateway.yaml that configs/ has for
// it: clients are connected, and the page does all that it does without a proxy.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	long(t, "it opens six pages behind three proxies")
	for _, x := range proxyPrograms {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			findTool(t, x.name, x.pkg)
			b, dir := browsertest.Start(t), t.TempDir()
			trusted := makeCert(t, dir)
			config := writeFile(t, "gateway.yaml", string(simulatedWithoutInterlocks(t))+gatewayLines(t, x.text(t))+"commands: unauthenticated\n")
			p := startGateway(t, buildGateway(t), "--simulate", "--config", config, "--listen", "127.0.0.1:0")
			address := x.startFor(t, p, dir)
			_, port, _ := net.SplitHostPort(address)

			for _, path := range []string{"/", "/gateway/"} {
				host := net.JoinHostPort("greenhouse.example", port)
				dialer := websocket.Dialer{
					Subprotocols:    []string{wire.ReadingsV2},
					TLSClientConfig: &tls.Config{RootCAs: trusted},
					NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return (&net.Dialer{}).DialContext(ctx, network, address)
					},
				}
				c, answer, err := dialer.Dial("wss://"+host+path, nil)
				if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("%s: %v, %+v", path, err, answer)
				}
				_ = c.SetReadDeadline(time.Now().Add(patience))
				if _, _, err := c.ReadMessage(); err != nil {
					t.Errorf("%s: %v", path, err)
				}
				c.Close()
				page := openAddress(t, b, "https://"+host+strings.TrimSuffix(path, "/"), browsertest.Options{})
				page.Wait(`(globalThis.first ??= ` + received + `, ` + received + ` > first + 5)`)
				page.Wait(card + `.querySelector(".start:enabled")`)
				page.Click(".motor .start")
				page.Wait(card + `.dataset.running === "true"`)
				stops(page)
				page.Wait(card + `.dataset.running === "false"`)
				resetEStop(page)
				page.Wait(`document.querySelector("#stop-alert").textContent === ""`)

				// A client cannot claim another address: the proxy's header has the real one.
				stranger := http.Header{"Origin": {"https://evil.example"}, "X-Forwarded-For": {"192.0.2.66"}, "X-Forwarded-Proto": {"http"}}
				if _, answer, err = dialer.Dial("wss://"+host+path, stranger); err == nil || answer == nil || answer.StatusCode != http.StatusForbidden {
					t.Errorf("%s: a page of another origin: %v, %+v", path, err, answer)
				}
			}
			p.await(t, "reason=origin client=127.0.0.1 why=")
			p.await(t, `is not \"https://greenhouse.example:`+port)
		})
	}
}

// namedLine is a line of gateway.yaml in the text of a refusal.
var namedLine = regexp.MustCompile(`(?:hosts|origins): \[".*?"\]|proxies: \[\{.*?\}\]|url: "[^"]*"`)

// With typical nginx configurations the page works, or says which line is missing; with that
// line it works.
func TestNginxAsWritten(t *testing.T) {
	t.Parallel()
	long(t, "it opens a page behind nginx eleven times")
	const upgrade = `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; `
	const forwarded = `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; `
	const secure = `ssl; ssl_certificate DIR/gateway.crt; ssl_certificate_key DIR/gateway.key`
	nginx := proxyPrograms[0]
	findTool(t, nginx.name, nginx.pkg)
	b := browsertest.Start(t)
	for _, tt := range []struct {
		name, listen, location, path, scheme string
		lines                                int // that have to be written
	}{
		{"as its documentation shows", "", `location / { proxy_pass http://GATEWAY; ` + upgrade + `}`, "/", "http", 1},
		{"with $host and forwarding headers", "", `location / { proxy_pass http://GATEWAY; ` + upgrade + `proxy_set_header Host $host; ` + forwarded + `}`, "/", "http", 2},
		{"with TLS", secure, `location / { proxy_pass http://GATEWAY; ` + upgrade + `proxy_set_header Host $http_host; ` + forwarded + `}`, "/", "https", 2},
		{"under a prefix", "", `location /gw/ { proxy_pass http://GATEWAY/; ` + upgrade + `proxy_set_header Host $http_host; ` + forwarded + `} location / { return 200 root; }`, "/gw/", "http", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, address, own := t.TempDir(), freeAddress(t), freeAddress(t)
			makeCert(t, dir)
			text := "events {} " + nginxFiles + " access_log off; map $http_upgrade $connection_upgrade { default upgrade; '' close; } server { listen " +
				address + " " + tt.listen + "; " + tt.location + " } }"
			nginx.start(t, strings.NewReplacer("DIR", dir, "GATEWAY", own).Replace(text), dir, address)
			_, port, _ := net.SplitHostPort(address)
			config := string(simulatedWithoutInterlocks(t))
			for written := 0; ; written++ {
				p := startGateway(t, buildGateway(t), "--simulate", "--config", writeFile(t, "gateway.yaml", config), "--listen", own)
				page := b.Open(t, fmt.Sprintf("%s://greenhouse.example:%s%s", tt.scheme, port, tt.path), browsertest.Options{Script: timeToTrouble})
				// A client that may not command is connected, not refused.
				page.Wait(`document.querySelector("#status")?.dataset.phase === "live" || !document.querySelector(".sensor") && /fix: /.test(document.body?.innerText)`)
				if took := browsertest.Eval[float64](page, `globalThis.took ?? 0`); took > 5000 {
					t.Errorf("it took %.0f ms to say why", took)
				}
				if browsertest.Eval[bool](page, `document.querySelector("#status")?.dataset.phase === "live"`) {
					stops(page)
					if written > tt.lines {
						t.Errorf("%d lines were named one after the other, want %d at most", written, tt.lines)
					}
					return
				}
				refusal := browsertest.Eval[string](page, `document.body.innerText`)
				line := namedLine.FindString(refusal)
				if line == "" || written == tt.lines {
					t.Fatalf("after %d lines of %d the page says\n%s\nwith\n%s", written, tt.lines, refusal, config)
				}
				config += line + "\n"
				p.Kill(t)
			}
		})
	}
}
