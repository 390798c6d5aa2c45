package statuspage

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/status"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": count,
	"some":  some,
	"bytes": binaryBytes,
	"words": func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	"list":  func(names []string) string { return strings.Join(names, ", ") },
}).Parse(pageHTML))

// pagePolicy lets the page have its style and its form, and nothing else, so
// that nothing in it could run if it got past the escaping.
var pagePolicy = "default-src 'none'; style-src '" + styleHash(pageHTML) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// styleHash is how a policy names the style of a page.
func styleHash(html string) string {
	_, rest, _ := strings.Cut(html, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page is what the page shows of a report.
type page struct{ *status.Report }

// Headline says in a few words whether all is well.
func (p page) Headline() string {
	down, behind := 0, 0
	for _, h := range p.Hubs {
		switch h.State {
		case "down":
			down++
		case "catching_up":
			behind++
		}
	}
	switch {
	case p.State == "new":
		return "not running yet"
	case p.State == "closed":
		return "closed"
	case len(p.Hubs) == 0:
		return "no hub is known yet"
	case down > 0:
		return fmt.Sprintf("%d of %s down", down, some(len(p.Hubs), "hub"))
	case behind > 0:
		return fmt.Sprintf("%d of %s catching up", behind, some(len(p.Hubs), "hub"))
	}
	return some(len(p.Hubs), "hub") + " up"
}

// Worst returns the hubs, those first that need a look.
func (p page) Worst() []status.Hub {
	order := map[string]int{"down": 0, "catching_up": 1, "up": 2}
	hubs := slices.Clone(p.Hubs)
	slices.SortStableFunc(hubs, func(a, b status.Hub) int { return order[a.State] - order[b.State] })
	return hubs
}

// Ago says how long ago something was.
func (p page) Ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return shortly(p.Time.Sub(t)) + " ago"
}

// Until says when something will be.
func (p page) Until(t time.Time) string {
	if !t.After(p.Time) {
		return "now"
	}
	return "in " + shortly(t.Sub(p.Time))
}

// Oldest is the age of the oldest sample that is queued.
func (p page) Oldest() string {
	return shortly(time.Duration(p.Queue.OldestSeconds * float64(time.Second)))
}

// Full is how much of the queue's memory is in use, in percent.
func (p page) Full() string {
	return strconv.FormatFloat(100*float64(p.Queue.Bytes)/float64(p.Queue.MaxBytes), 'f', 1, 64)
}

// More is how many hubs of a walk are not shown.
func (p page) More() int { return p.Ring.Hubs - len(p.Gateway.Walk) }

// InUse is the state of the hub that the gateway's samples go to.
func (p page) InUse() string {
	for _, h := range p.Hubs {
		if h.Name == p.Gateway.InUse {
			return h.State
		}
	}
	return ""
}

// shortly is a duration with two figures or three.
func shortly(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// count is a whole number of any type.
func count(n any) string { return thousands(fmt.Sprint(n)) }

// some is a number of things: 1 hub, 2,000 hubs.
func some(n any, thing string) string {
	text := count(n)
	if text != "1" {
		thing += "s"
	}
	return text + " " + thing
}

// thousands separates the digits of a whole number.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// binaryBytes is an amount of memory.
func binaryBytes(n int) string {
	const units = "KMGT"
	size, unit := float64(n)/1024, 0
	if n < 1024 {
		return strconv.Itoa(n) + " B"
	}
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}
