package web

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/exposition"
)

// gatewayList serves GET /gateways: the gateways that the hub knows. It takes
// nothing, and is bounded like a look.
func (s *Server) gatewayList(c echo.Context) error {
	leave, err := s.enterLook(c)
	if leave == nil {
		return err
	}
	defer leave()
	gateways := s.store.Gateways()
	slices.SortFunc(gateways, func(a, b store.Gateway) int { return cmp.Compare(a.Name, b.Name) })
	escaping, contentType := exposition.Negotiate(c.Request().Header)
	label := string(escaping.AppendLabelName(nil, s.cfg.GatewayLabel))
	none := s.store.Table().OfNoGateway()
	err = respond(c.Request(), flushable{c.Response()}, contentType, func(out io.Writer) error { return writeGateways(out, gateways, label, none) })
	if err != nil {
		panic(http.ErrAbortHandler) // half a list would be believed
	}
	return nil
}

// writeGateways writes a list in the text format, and how many series belong to no gateway.
// The name of the label is written as given.
func writeGateways(out io.Writer, gateways []store.Gateway, label string, none int) error {
	w := bufio.NewWriterSize(out, 128<<10)
	family := func(name, help string, value func(*store.Gateway) float64) {
		fmt.Fprintf(w, "# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n", name, help)
		start := name + "{" + label + `="`
		for i := range gateways {
			line := append(w.AvailableBuffer(), start...)
			line = append(exposition.AppendLabelValue(line, gateways[i].Name), `"} `...)
			line = append(exposition.AppendFloat(line, value(&gateways[i])), '\n')
			_, _ = w.Write(line) // Flush returns the first error
		}
	}
	family("edgehub_gateway_last_push_timestamp_seconds", "When the hub last took in a push of the gateway, by its own clock.",
		func(g *store.Gateway) float64 { return float64(g.Pushed) / 1000 })
	family("edgehub_gateway_series", "Series of the gateway that the hub knows.",
		func(g *store.Gateway) float64 { return float64(g.Series) })
	fmt.Fprintf(w, "# HELP edgehub_no_gateway_series Series that the hub knows which belong to no gateway.\n# TYPE edgehub_no_gateway_series gauge\nedgehub_no_gateway_series %d\n", none)
	return w.Flush()
}
