package web

import (
	"net"
	"net/http"
)

// clientOf tells clients apart: a host may have several, of different kinds.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return host + " " + r.UserAgent()
}

// maxScrapesOfOne is how many scrapes of a line one client may have under way: one
// that it has given up may still hang.
const maxScrapesOfOne = 2

// enter finds a place for a scrape. The client whose response was taken last finds one
// whatever strangers do.
func (l *line) enter(client string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.underWay[client] >= maxScrapesOfOne {
		return nil, false
	}
	stranger := client != l.known
	if stranger {
		select {
		case l.s.lines.strangers <- struct{}{}:
		default:
			return nil, false
		}
	}
	l.underWay[client]++
	return func() {
		if stranger {
			<-l.s.lines.strangers
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.underWay[client]--; l.underWay[client] == 0 {
			delete(l.underWay, client)
		}
	}, true
}
