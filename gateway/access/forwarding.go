package access

import (
	"net/http"
	"slices"
	"strings"
)

// forwardingWords are in the names of headers with which proxies, load balancers
// and content networks say that they pass a request on. A word that is missing here
// makes remote clients local, one too many only denies a right: so whole families are
// named, and any header for somebody's IP address counts (X-Real-IP, True-Client-IP,
// CF-Connecting-IP, X-Cluster-Client-IP, Fastly-Client-IP …).
var forwardingWords = []string{
	"forward", "proxy", "proxied", "-ip", "-via", "clientip", "realip", "remote-", "x-original-", "envoy", "ingress", "coming-from",
	"client-addr", "client-host", "client-port", "client-cert", "client-verify", "host-override",
}

// forwardingPrefixes are those of single ones, and of content networks and tunnels
// that forward more than addresses.
var forwardingPrefixes = []string{
	"via", "client-ip", "x-host", "x-scheme", "x-url-scheme", "x-rewrite-url", "x-real-", "x-ssl", "x-https", "front-end-", "max-forwards",
	"x-external-", "x-server-", "x-served-by", "x-request-start", "x-webauth-", "x-auth-request-", "surrogate-capability", "cdn-", "x-cdn",
	"x-edge", "x-varnish", "x-haproxy", "x-traefik", "x-accel-", "x-hass-", "x-zscaler-", "x-sucuri-", "x-cloudflare", "cloudfront-",
	"cf-", "fastly-", "fly-", "akamai-", "x-akamai-", "x-azure-", "x-amz", "x-appengine-", "x-cloud-trace-", "x-arr-", "x-ms-",
	"x-vercel-", "x-nf-", "x-tailscale-", "tailscale-", "x-ngrok-", "ngrok-",
}

// forwardedBy returns the name of a header that a proxy has added, "" if there is none.
func forwardedBy(header http.Header) string {
	for name := range header {
		// Some proxies and programs take an underscore for a hyphen.
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if slices.ContainsFunc(forwardingWords, func(word string) bool { return strings.Contains(plain, word) }) ||
			slices.ContainsFunc(forwardingPrefixes, func(prefix string) bool { return strings.HasPrefix(plain, prefix) }) {
			return name
		}
	}
	return ""
}
