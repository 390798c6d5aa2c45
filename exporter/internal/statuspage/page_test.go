package statuspage

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/status"
)

// pageParts is a page taken apart.
type pageParts struct {
	tags  []string // each start tag with the names of its attributes, in order
	attrs []string // the values of all attributes, in order
	links []string // of href, action and src
	text  string   // with spaces run together, without the style
	style string
}

func parsePage(t testing.TB, page string) (p pageParts) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = false
	var text strings.Builder
	in := ""
	for {
		token, err := d.RawToken()
		if token == nil {
			require.ErrorContains(t, err, "EOF")
			break
		}
		switch token := token.(type) {
		case xml.StartElement:
			in = token.Name.Local
			tag := []string{in}
			for _, a := range token.Attr {
				tag = append(tag, a.Name.Local)
				p.attrs = append(p.attrs, a.Value)
				if slices.Contains([]string{"href", "action", "src"}, a.Name.Local) {
					p.links = append(p.links, a.Value)
				}
			}
			p.tags = append(p.tags, strings.Join(tag, " "))
			text.WriteByte(' ')
		case xml.EndElement:
			in = ""
		case xml.CharData:
			if in == "style" {
				p.style += string(token)
			} else {
				text.Write(token)
			}
		}
	}
	p.text = strings.Join(strings.Fields(text.String()), " ")
	return p
}

// words is a report in which each text that comes from outside is the word.
func words(word string) status.Report {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	hub := status.Hub{Name: word, CallsItself: word, URL: "http://hub-0", Weight: 1, State: "up", LastError: word, LastErrorAt: now}
	return status.Report{
		Time: now, State: "running", Ring: status.Ring{
			Fingerprint: "0123456789abcdef", Hubs: 1, Method: word, Placement: &status.Placement{Serial: 3, Made: now, Moved: 2, LastError: word},
		},
		Members: status.Members{Source: word, Detail: word, LastError: word, Held: []string{word}, Fresh: []string{word}},
		Hubs:    []status.Hub{hub}, Queue: status.Queue{MaxBytes: 1 << 20},
		Ends:   status.Ends{Waiting: map[string]int{word: 1}, Deaf: []string{word}},
		Config: status.Config{Failover: "next_hub", Overflow: "refuse_new", Receivers: "hubs_only", SpoolDir: word},
		Gateway: &status.Gateway{
			ID: word, Owner: word, InUse: word, Walk: []status.Step{{Hub: word, State: "up"}}, At: word,
			Untold: []status.Untold{{Hub: word, EndedAt: now}},
		},
	}
}

// What comes from outside is text: a page with it has the same tags and the same
// attributes as one without.
func TestEscapes(t *testing.T) {
	const attack = `"><script>alert(1)</script><img src=x onerror=alert(2)>'&{{.}}</style><!--` + "\u202e\x00`"
	show := func(word string) (string, pageParts) {
		resp := askFor(t, words(word), http.MethodGet, "/?gateway="+url.QueryEscape(word))
		require.Equal(t, http.StatusOK, resp.StatusCode)
		raw := bodyOf(t, resp)
		return raw, parsePage(t, raw)
	}
	_, tame := show("word")
	raw, wild := show(attack)
	assert.Equal(t, tame.tags, wild.tags)
	assert.Len(t, wild.attrs, len(tame.attrs))
	assert.Equal(t, tame.style, wild.style)
	assert.NotContains(t, raw, "<script")
	assert.NotContains(t, raw, "<img")
	assert.Contains(t, wild.text, `<script>alert(1)</script><img src=x onerror=alert(2)>'&{{.}}</style>`)
	for i, link := range wild.links {
		u, err := url.Parse(link)
		require.NoError(t, err)
		assert.Equal(t, url.URL{RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}, *u, "a query and nothing else")
		if strings.Contains(tame.links[i], "gateway=word") {
			assert.Equal(t, attack, u.Query().Get("gateway"))
		}
	}
}

// The same holds for JSON: programs put it into pages.
func TestJSONEscapes(t *testing.T) {
	const word = `</script><b>"` + "\u2028"
	resp := askFor(t, words(word), http.MethodGet, "/?format=json&gateway="+url.QueryEscape(word))
	body := bodyOf(t, resp)
	assert.NotContains(t, body, "<")
	var s status.Report
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	assert.Equal(t, word, s.Gateway.ID)
	assert.Equal(t, word, s.Hubs[0].LastError)
}

// The page needs nothing but itself, wherever it is mounted.
func TestPageStandsAlone(t *testing.T) {
	resp := ask(t, http.MethodGet, "/a/prefix/exporter?gateway=gw+1%26")
	page := parsePage(t, bodyOf(t, resp))
	assert.Equal(t, []string{"?", "?format=json&gateway=gw%201%26"}, page.links)
	assert.Contains(t, page.tags, "form", "it has no action: it goes to where the page is")
	for _, tag := range page.tags {
		assert.NotRegexp(t, `^(script|link|img|iframe|base)\b| (style|on\w+)\b`, tag)
	}
	assert.Contains(t, page.style, "prefers-color-scheme: dark")
	assert.Contains(t, resp.Header.Get("Content-Security-Policy"), styleHash("<style>"+page.style+"</style>"))
}

func TestFigures(t *testing.T) {
	for n, want := range map[int]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 64 << 20: "64.0 MiB", 3 << 40: "3.0 TiB", 5 << 50: "5120.0 TiB"} {
		assert.Equal(t, want, binaryBytes(n))
	}
	for digits, want := range map[string]string{"0": "0", "999": "999", "1000": "1,000", "1234567": "1,234,567", "-123456": "-123,456"} {
		assert.Equal(t, want, thousands(digits))
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Microsecond: "1ms", 1234 * time.Millisecond: "1.2s", 61*time.Second + 1: "1m1s", 49*time.Hour + 29*time.Second: "49h0m",
	} {
		assert.Equal(t, want, shortly(d))
	}
}
