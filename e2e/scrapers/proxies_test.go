package scrapers

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

// Behind a proxy the connection tells what the proxy has, not what the scraper has. Asked,
// a network between the two stalls, so that scrapes are given up; unasked, all goes
// well, but for the row that says otherwise.

func TestHAProxy(t *testing.T) { behind(t, proxied{start: haproxy, probed: true}) }

func TestHAProxyPooled(t *testing.T) {
	behind(t, proxied{start: haproxy, pool: "http-reuse always\n  default-server pool-purge-delay 5s pool-max-conn 4", probed: true})
}

// A connection that is idle between two scrapes is ended in between. HAProxy resets it, which
// looks like a scraper that has not read its response; the hub asks it to end the next one
// in order.
func TestHAProxyIdle(t *testing.T) {
	behind(t, proxied{start: haproxy, pool: "timeout http-keep-alive 100ms\n  default-server pool-purge-delay 50ms"})
}

func TestNginx(t *testing.T) { behind(t, proxied{start: nginx, probed: true}) }

func TestNginxPooled(t *testing.T) {
	behind(t, proxied{start: nginx, pool: "keepalive 4;", probed: true})
}

// nginx ends it in order.
func TestNginxIdle(t *testing.T) {
	behind(t, proxied{start: nginx, pool: "keepalive 4; keepalive_timeout 100ms;"})
}

// A scrape that is given up behind a proxy is lost where nobody is asked.
func TestGivenUpBehindProxy(t *testing.T) {
	both(t, func(t *testing.T, asked bool) { proxied{start: nginx, stalls: true}.try(t, asked) })
}

// proxied is how a proxy is tried.
type proxied struct {
	start  func(r *row, pool string) string // returns its address
	pool   string                           // how it keeps connections to the hub, in its own words
	probed bool                             // somebody probes the hub through it all the time
	stalls bool                             // the network before it stalls now and then
}

func behind(t *testing.T, p proxied) {
	both(t, func(t *testing.T, asked bool) {
		p := p
		p.stalls = asked
		p.try(t, asked)
	})
}

func (p proxied) try(t *testing.T, asked bool) {
	r, cfg := oneServer(t, asked)
	proxy := p.start(r, p.pool)
	if p.probed {
		r.probe(url(proxy) + "/-/ready")
	}
	net := r.startRelay(proxy)
	j := job{target: net.address}
	if !p.stalls { // nothing is given up, on a busy machine either
		j.interval, j.timeout = 4*interval, 4*interval
	}
	server := r.startServer(cfg, j)
	if p.stalls {
		r.stallAndGo(net)
	} else {
		r.pushFor(10 * time.Second)
	}
	r.settle()
	r.require(stored(server))
}

// packaged is the path of a program of Debian's.
func packaged(t *testing.T, program string) string {
	t.Helper()
	path, err := realbin.Packaged(t.Context(), program, os.Stderr)
	require.NoError(t, err)
	return path
}

// haproxy starts HAProxy before the hub, with such a pool, and returns its address.
func haproxy(r *row, pool string) string {
	address := freeAddress(r.T)
	file := r.file("haproxy.cfg", fmt.Sprintf(`global
  log stderr format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend in
  bind %s
  default_backend hub
backend hub
  %s
  server hub %s
`, address, pool, r.hub.Address))
	r.run("haproxy", packaged(r.T, realbin.HAProxy), url(address)+"/-/ready", "-db", "-f", file)
	return address
}

// nginx starts nginx before the hub: with a pool as it is told to, without one with a
// plain proxy_pass. It returns its address.
func nginx(r *row, pool string) string {
	address := freeAddress(r.T)
	dir := r.TempDir()
	version := ""
	if pool != "" {
		version = `proxy_http_version 1.1; proxy_set_header Connection "";`
	}
	file := r.file("nginx.conf", fmt.Sprintf(`daemon off;
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  upstream hub { server %[2]s; %[3]s }
  server {
    listen %[4]s;
    location / { proxy_pass http://hub; %[5]s }
  }
}
`, dir, r.hub.Address, pool, address, version))
	r.run("nginx", packaged(r.T, realbin.Nginx), url(address)+"/-/ready", "-c", file, "-e", "stderr")
	return address
}
