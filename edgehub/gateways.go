package edgehub

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/exposition"
)

// snapshotSize is how many gateways are looked at under a lock at once: there may
// be a hundred thousand, and pushes need the lock, too.
const snapshotSize = 512

// gatewayStatus is what the list of gateways says of one.
type gatewayStatus struct {
	name   string
	series int
	pushed int64 // when a push of it was last taken in, in milliseconds
}

// gatewayList serves GET /gateways: the gateways that the hub knows. It takes
// nothing, and is bounded like a look.
func (h *Hub) gatewayList(c echo.Context) error {
	leave, err := h.enter(c, request{timeout: lookDeadline}, nil)
	if leave == nil {
		return err
	}
	defer leave()
	gateways, appendLabel := h.gateways(), exposition.AppendLegacyLabelName
	if exposition.AcceptsUTF8(c.Request().Header) {
		appendLabel = exposition.AppendLabelName
	}
	label := string(appendLabel(nil, h.cfg.GatewayLabel))
	err = respond(c.Request(), c.Response(), func(out io.Writer) error { return writeGateways(out, gateways, label) })
	if err != nil {
		panic(http.ErrAbortHandler) // half a list would be believed
	}
	return nil
}

// gateways returns the status of each gateway with a name, by name. It holds locks
// for a few of them at a time.
func (h *Hub) gateways() []gatewayStatus {
	t := h.table.Load()
	all := make([]gatewayStatus, 0, len(*t.gateways.Load()))
	for from := 0; ; from += snapshotSize {
		part := t.memberships(from, from+snapshotSize)
		if len(part) == 0 {
			break
		}
		all = h.log.appendStatus(all, part)
	}
	slices.SortFunc(all, func(a, b gatewayStatus) int { return cmp.Compare(a.name, b.name) })
	return all
}

// memberships copies what a table knows of some of its gateways, by their numbers
// less one.
func (t *table) memberships(from, to int) []member {
	t.mu.Lock()
	defer t.mu.Unlock()
	to = min(to, len(t.enlisted))
	if from >= to {
		return nil
	}
	part := make([]member, 0, to-from)
	for _, m := range t.enlisted[from:to] {
		part = append(part, *m)
	}
	return part
}

// appendStatus appends the status of gateways but for the one without a name, and
// those whose first push is just being taken in.
func (l *log) appendStatus(all []gatewayStatus, members []member) []gatewayStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range members {
		if m.name != "" && m.pushed != 0 {
			all = append(all, gatewayStatus{m.name, m.series, m.pushed})
		}
	}
	return all
}

// writeGateways writes a list in the text format. The name of the label is written
// as given.
func writeGateways(out io.Writer, gateways []gatewayStatus, label string) error {
	w := bufio.NewWriterSize(out, flushBytes)
	family := func(name, help string, value func(*gatewayStatus) float64) {
		fmt.Fprintf(w, "# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n", name, help)
		start := name + "{" + label + `="`
		for i := range gateways {
			line := append(w.AvailableBuffer(), start...)
			line = append(exposition.AppendLabelValue(line, gateways[i].name), `"} `...)
			line = append(exposition.AppendFloat(line, value(&gateways[i])), '\n')
			_, _ = w.Write(line) // Flush returns the first error
		}
	}
	family("edgehub_gateway_last_push_timestamp_seconds", "When the hub last took in a push of the gateway, by its own clock.",
		func(g *gatewayStatus) float64 { return float64(g.pushed) / 1000 })
	family("edgehub_gateway_series", "Series of the gateway that the hub knows.",
		func(g *gatewayStatus) float64 { return float64(g.series) })
	return w.Flush()
}
