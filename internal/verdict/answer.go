package verdict

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

const (
	// detailBytes is how much of a hub's answer is kept for a log line.
	detailBytes = 512
	// drainBytes is how much more is read so that the connection can be used
	// again. A longer answer costs the connection.
	drainBytes = 64 << 10
	// clueBytes is how much of a header is kept for a log line.
	clueBytes = 80
)

// Answer is what came back for a request.
type Answer struct {
	Status int
	Header http.Header
	Length int64  // of the body, -1 if it is not said
	Text   string // the beginning of it
}

// Read reads an answer to its end, within bounds. An error while reading changes
// nothing: the status has been said.
func Read(resp *http.Response) *Answer {
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, Length: resp.ContentLength}
	if resp.Body != http.NoBody {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, detailBytes))
		_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
		a.Text = strings.ToValidUTF8(strings.TrimSpace(string(head)), "?")
	}
	return a
}

// Hub says which hub the answer is of. It reports false if it is of none: a proxy, a login
// page, a server that speaks TLS, another program at the hub's address.
func (a *Answer) Hub() (exposition.HubID, bool) {
	return exposition.ParseHubID(a.Header.Get(exposition.HubHeader))
}

// Success reports whether the status says that all is well.
func (a *Answer) Success() bool { return a.Status >= 200 && a.Status <= 299 }

// Detail is a hub's answer for a log line.
func (a *Answer) Detail() string {
	if a.Text == "" {
		return fmt.Sprintf("status %d", a.Status)
	}
	return fmt.Sprintf("status %d: %s", a.Status, a.Text)
}

// Strange is somebody else's answer for a log line. It says what helps to find out who it is.
func (a *Answer) Strange() string {
	var said strings.Builder
	fmt.Fprintf(&said, "not a hub's answer: status %d", a.Status)
	for _, name := range []string{"Content-Type", "Server"} {
		if v := a.Header.Get(name); v != "" {
			fmt.Fprintf(&said, ", %s %q", name, v[:min(len(v), clueBytes)])
		}
	}
	if a.Text != "" {
		said.WriteString(": " + a.Text)
	}
	return said.String()
}

// NoAnswer is an error of a request for a log line, without the URL, which may have a password in it.
func NoAnswer(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := err.Error() // it may have in it what the hub said, at length
	return strings.ToValidUTF8(text[:min(len(text), detailBytes)], "?")
}
