package push

import (
	"fmt"
	"io"
	"net/http"
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

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	length int64  // of the body, -1 if it is not said
	text   string // the beginning of it
}

// answerOf reads an answer to its end, within bounds. An error while reading changes
// nothing: the status has been said.
func answerOf(resp *http.Response) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header, length: resp.ContentLength}
	if resp.Body != http.NoBody {
		head, _ := io.ReadAll(io.LimitReader(resp.Body, detailBytes))
		_, _ = io.CopyN(io.Discard, resp.Body, drainBytes)
		a.text = strings.ToValidUTF8(strings.TrimSpace(string(head)), "?")
	}
	return a
}

// hub says which hub the answer is of. It reports false if it is of none: a proxy, a login
// page, a server that speaks TLS, another program at the hub's address.
func (a *answer) hub() (exposition.HubID, bool) {
	return exposition.ParseHubID(a.header.Get(exposition.HubHeader))
}

// success reports whether the status says that all is well.
func (a *answer) success() bool { return a.status >= 200 && a.status <= 299 }

// detail is a hub's answer for a log line.
func (a *answer) detail() string {
	if a.text == "" {
		return fmt.Sprintf("status %d", a.status)
	}
	return fmt.Sprintf("status %d: %s", a.status, a.text)
}

// strange is somebody else's answer for a log line. It says what helps to find out who it is.
func (a *answer) strange() string {
	var said strings.Builder
	fmt.Fprintf(&said, "not a hub's answer: status %d", a.status)
	for _, name := range []string{"Content-Type", "Server"} {
		if v := a.header.Get(name); v != "" {
			fmt.Fprintf(&said, ", %s %q", name, v[:min(len(v), clueBytes)])
		}
	}
	if a.text != "" {
		said.WriteString(": " + a.text)
	}
	return said.String()
}
