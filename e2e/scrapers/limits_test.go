package scrapers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// A server that refuses responses above a size gets smaller ones.

func TestSampleLimit(t *testing.T) { tooMuch(t, "sample_limit: 250") }

func TestBodySizeLimit(t *testing.T) { tooMuch(t, "body_size_limit: 20KB") }

// tooMuch has a scrape job with a limit that an ordinary response keeps, some 200 samples
// of 60 bytes, and one after a flood does not.
func tooMuch(t *testing.T, limit string) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, job{extra: "    " + limit + "\n"})
		r.pushFor(3 * time.Second)
		r.push(25)
		r.pushFor(5 * time.Second)
		r.settle()
		r.require(stored(server))
	})
}

// A server that refuses the series of one gateway gets those of the others, and the hub
// says which gateway it was.

func TestLabelLimit(t *testing.T) {
	var labels strings.Builder
	for _, l := range strings.Split("abcdefghijkl", "") {
		labels.WriteString("," + l + `="1"`)
	}
	oneBad(t, &sender{label: labels.String()}, job{extra: "    label_limit: 10\n"})
}

func TestLabelValueLengthLimit(t *testing.T) {
	oneBad(t, &sender{label: `,long="` + strings.Repeat("x", 120) + `"`}, job{extra: "    label_value_length_limit: 100\n"})
}

func TestLabelNameLengthLimit(t *testing.T) {
	oneBad(t, &sender{label: `,` + strings.Repeat("x", 120) + `="1"`}, job{extra: "    label_name_length_limit: 100\n"})
}

func TestNameEmptied(t *testing.T) {
	oneBad(t, &sender{metric: func(string) string { return "nameless" }}, job{relabel: `      - {source_labels: [__name__], regex: nameless, target_label: __name__, replacement: ""}
`})
}

// oneBad has a gateway beside the others whose series the server refuses.
func oneBad(t *testing.T, bad *sender, j job) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, j)
		own := newSender(r.hub.URL(), 0, 2)
		own.gateways, own.label, own.metric = []string{"gw-bad"}, bad.label, bad.metric
		r.sender.beside = own
		r.pushFor(8 * time.Second)
		r.settle()
		r.require(stored(server))
		if asked {
			const aside = "edgehub_samples_set_aside_total"
			named := r.ownNow(aside, map[string]string{"gateway": "gw-bad"})
			require.Positive(t, named)
			require.Equal(t, named, r.ownNow(aside, nil), "samples of other gateways are set aside")
			require.Equal(t, own.series, r.ownNow("edgehub_set_aside_series", nil))
			require.Regexp(t, `level=WARN .*gw-bad`, r.hub.Process.Log())
			requireOthersSoon(t, server)
		}
	})
}

// requireOthersSoon requires that the scrape after one that was refused is stored, which
// has what it had of the others. One more may fail, since a busy machine may be slow.
func requireOthersSoon(t *testing.T, server *stack.Server) {
	t.Helper()
	ups, err := promapi.New(server.Address).Matrix(t.Context(), `up{job="edgehub"}[1h]`)
	require.NoError(t, err)
	require.Len(t, ups, 1)
	failed, running := 0, 0
	for _, up := range ups[0].Values {
		running++
		if up.Value == 1 {
			running = 0
			continue
		}
		failed++
		require.LessOrEqual(t, running, 2, "scrapes failed one after the other: %v", ups[0].Values)
	}
	require.Positive(t, failed)
}
