package exporter_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/magma"
)

// An exporter with its account in the controller's registry.
func ExampleNew() {
	registry := prometheus.NewRegistry()
	_, err := exporter.New(exporter.Config{
		Hubs:       []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}},
		Registerer: registry,
	})
	if err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "hubring_exporter_ring_hubs" {
			fmt.Println(f.GetName(), f.Metric[0].Gauge.GetValue())
		}
	}
	// Output: hubring_exporter_ring_hubs 2
}

// An exporter that sends until it is closed.
func ExampleStart() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, err := exporter.Start(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})
	if err != nil {
		log.Print(err)
		return
	}
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	if err := e.Close(ctx); err != nil {
		log.Print(err)
	}
	show(hub)
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// A stop that may not take longer than the orchestrator's patience, and says what it cost.
func ExampleExporter_Close() {
	e, err := exporter.Start(exporter.Config{Hubs: []exporter.Hub{{URL: "http://127.0.0.1:1"}}}) // nobody is there
	if err != nil {
		log.Print(err)
		return
	}
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	patience, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if lost, ok := errors.AsType[*exporter.UndeliveredError](e.Close(patience)); ok {
		fmt.Println("samples lost:", lost.Samples)
	}
	// Output: samples lost: 1
}

// Two gateways report, and the hub gets both.
func ExampleExporter_Submit() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})

	for _, gateway := range []string{"gw-0017", "gw-0042"} {
		if err := e.Submit(ctx, report(gateway)); err != nil {
			log.Print(err)
		}
	}
	stop()
	show(hub)
	// Output:
	// load{gatewayID="gw-0017",networkID="net1"} 0.5
	// load{gatewayID="gw-0042",networkID="net1"} 0.5
}

// What to do about the errors of Submit.
func ExampleExporter_Submit_errors() {
	e, err := exporter.New(exporter.Config{
		Hubs:          []exporter.Hub{{URL: "http://edgehub-0:9091"}},
		MaxQueueBytes: 1000,
	})
	if err != nil {
		log.Fatal(err)
	}
	submit := func(items []magma.MetricAndContext) {
		err := e.Submit(ctx, items)
		rejected, partly := errors.AsType[*exporter.RejectedError](err)
		switch {
		case err == nil:
			fmt.Println("all of it is taken in")
		case partly:
			fmt.Println("taken in, but for", rejected.Total, "that cannot be sent: do not submit it again")
		case errors.Is(err, exporter.ErrQueueFull):
			fmt.Println("nothing is taken in: submit it again later")
		case errors.Is(err, exporter.ErrClosed):
			fmt.Println("Run has ended: nothing is taken in any more")
		default:
			fmt.Println("nothing is taken in:", err)
		}
	}
	bad := report("gw-0017")
	bad[0].Family = nil
	submit(bad)
	submit(report("gw-0017")) // nobody runs e, so it stays where it is
	submit(report("gw-0042"))
	// Output:
	// taken in, but for 1 that cannot be sent: do not submit it again
	// all of it is taken in
	// nothing is taken in: submit it again later
}

// Families that have all their labels are sent as they are. The key says which of
// them belong together.
func ExampleExporter_SubmitFamilies() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})

	name, value := "site", "north"
	family := gauge("load", 0.5)
	family.Metric[0].Label = []*dto.LabelPair{{Name: &name, Value: &value}}
	if err := e.SubmitFamilies(ctx, value, []*dto.MetricFamily{family}); err != nil {
		log.Print(err)
	}
	stop()
	show(hub)
	// Output: load{site="north"} 0.5
}

// Who has metrics as text submits it. The value of a label says which series belong together.
func ExampleExporter_SubmitText() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})

	text := "# TYPE load gauge\nload{gatewayID=\"gw-0017\"} 0.5\n"
	if err := e.SubmitText(ctx, "gatewayID", []byte(text)); errors.Is(err, exporter.ErrMalformed) {
		log.Print(err) // it names the line
	}
	stop()
	show(hub)
	// Output: load{gatewayID="gw-0017"} 0.5
}

// What is no sample, such as a push to a Pushgateway's group, goes to the hub of its key by other ways.
func ExampleExporter_Home() {
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}}})
	defer stop()
	home, known := e.Home("gw-0017")
	fmt.Println(known, home.URL)
	// Output: true http://edgehub-1:9091
}

// Whoever has to know that a hub has the samples pushes them.
func ExampleExporter_Push() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.Push(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	show(hub)
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// Flush waits for everything that was submitted before.
func ExampleExporter_Flush() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})
	defer stop()

	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	if err := e.Flush(ctx); err != nil {
		log.Print(err)
	}
	show(hub)
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// Run goes on until its context ends, as that of signal.NotifyContext does when
// the controller is told to stop.
func ExampleExporter_Run() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{URL: url}}})
	if err != nil {
		log.Print(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()

	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	cancel()
	fmt.Println("nothing is lost:", <-ended == nil)
	show(hub)
	// Output:
	// nothing is lost: true
	// load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// A readiness probe, or a log line of the controller's own, asks how the exporter is.
func ExampleExporter_Status() {
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{Name: "edgehub-0", URL: "http://10.0.0.7:9091"}}})
	defer stop()
	for _, hub := range e.Status().Hubs {
		fmt.Println(hub.Name, hub.State)
	}
	// Output: edgehub-0 up
}

// Which hub is a gateway's home.
func ExampleExporter_StatusOf() {
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}}})
	defer stop()
	fmt.Println(e.StatusOf("gw-0017").Gateway.Owner)
	// Output: edgehub-1:9091
}

// A controller that tells gateways what became of their samples.
func ExampleDrop() {
	_, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{
		Hubs: []exporter.Hub{{URL: url}},
		OnDrop: func(d exporter.Drop) {
			fmt.Printf("%d of %s of %s in %s: %s\n", d.Samples, d.Metric, d.Gateway, d.Network, d.Reason)
		},
	})
	bad := report("gw-0017")
	bad[0].Family.Metric[0].Gauge = nil
	if err := e.Submit(ctx, bad); err != nil {
		log.Print(err)
	}
	stop()
	// Output: 1 of load of gw-0017 in net1: missing_value
}

// The status is on a page of the controller's own server, and for programs in
// JSON.
func ExampleExporter_Handler() {
	e, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{Name: "edgehub-0", URL: "http://10.0.0.7:9091"}}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/debug/exporter", e.Handler())
	server := httptest.NewServer(mux)
	defer server.Close()

	resp, err := http.Get(server.URL + "/debug/exporter?format=json&gateway=gw-0017")
	if err != nil {
		log.Print(err)
		return
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Print(err)
		return
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"in_use"`) {
			fmt.Print(strings.TrimSpace(line))
		}
	}
	// Output: "in_use": "edgehub-0",
}

// A controller's own metrics go the same way as its gateways'.
func ExampleGather() {
	registry := prometheus.NewRegistry()
	logins := prometheus.NewCounter(prometheus.CounterOpts{Name: "logins_total"})
	registry.MustRegister(logins)
	logins.Add(3)

	hub, url, stopHub := startHub()
	defer stopHub()
	_, stop := startExporter(exporter.Config{
		Hubs: []exporter.Hub{{URL: url}},
		Gather: []exporter.Gather{{
			Gatherer: registry,
			Interval: time.Millisecond, // leave it out for the usual 30 s
			Context:  &magma.CloudMetricContext{CloudHost: "controller-0"},
		}},
	})
	if err := hub.Wait(ctx, 1); err != nil {
		log.Print(err)
		return
	}
	stop()
	first := hub.Samples()[0]
	fmt.Println(first.Series, first.Value)
	// Output: logins_total{cloudHost="controller-0"} 3
}

// A hub is down. The samples of those gateways whose home it is go to the other
// one, unless they are to wait.
func ExampleFailoverPolicy() {
	for _, policy := range []exporter.FailoverPolicy{exporter.NextHub, exporter.WaitForOwner} {
		network := exportertest.NewNetwork()
		first, second := network.Add("edgehub-0"), network.Add("edgehub-1")
		e, stop := startExporter(exporter.Config{
			Hubs:      []exporter.Hub{{URL: "http://edgehub-0"}, {URL: "http://edgehub-1"}},
			Transport: network.Transport(),
			Failover:  policy,
		})
		network.Kill("edgehub-0")
		for i := range 10 {
			if err := e.Submit(ctx, report(fmt.Sprint("gw-", i))); err != nil {
				log.Print(err)
			}
		}
		if policy == exporter.WaitForOwner {
			network.Start("edgehub-0")
		}
		if err := e.Flush(ctx); err != nil {
			log.Print(err)
		}
		fmt.Println(len(first.Samples()) > 0, len(first.Samples())+len(second.Samples()))
		stop()
		network.Close()
	}
	// Output:
	// false 10
	// true 10
}

// A receiver that does not say that it is a hub gets nothing, unless others are let in.
func ExampleReceivers() {
	for _, from := range []exporter.Receivers{exporter.HubsOnly, exporter.HubsAndOthers} {
		hub, url, stopHub := startHub()
		hub.Always(exportertest.Reply{Stranger: true, Kept: true}) // as prometheus-edge-hub answers
		e, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{URL: url}}, Receivers: from, FlushTimeout: time.Second})
		if err != nil {
			log.Fatal(err)
		}
		if err := e.Submit(ctx, report("gw-0017")); err != nil {
			log.Print(err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		fmt.Println(e.Run(ended) == nil)
		stopHub()
	}
	// Output:
	// false
	// true
}

// With DropOldest Submit always finds room, at the cost of what has waited
// longest.
func ExampleOverflowPolicy() {
	e, err := exporter.New(exporter.Config{
		Hubs:          []exporter.Hub{{URL: "http://edgehub-0:9091"}},
		MaxQueueBytes: 10_000,
		Overflow:      exporter.DropOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 1000 { // nobody runs e
		err = errors.Join(err, e.Submit(ctx, report("gw-0017")))
	}
	fmt.Println(err)
	// Output: <nil>
}

// With SpoolAll samples are on disk when Submit returns. A controller that is killed then has lost nothing: the
// next one with the same SpoolDir sends them.
func ExampleSpoolPolicy() {
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		log.Fatal(err)
	}
	e, err := exporter.Start(exporter.Config{
		Hubs:     []exporter.Hub{{URL: "http://localhost:1"}}, // where nobody is
		SpoolDir: dir, SpoolPolicy: exporter.SpoolAll, FlushTimeout: time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	err = e.Submit(ctx, report("gw-0017"))
	segments, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	fmt.Println(err, len(segments), "file")
	fmt.Println(e.Close(ctx))
	// Output:
	// <nil> 1 file
	// <nil>
}

// What cannot be sent is named; the rest of the call is taken in.
func ExampleRejectedError() {
	e, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}}})
	if err != nil {
		log.Fatal(err)
	}
	items := append(report("gw-0017"), report("gw-0042")...)
	items[1].Family.Metric[0].Gauge = nil
	err = e.Submit(ctx, items)
	if rejected, ok := errors.AsType[*exporter.RejectedError](err); ok {
		for _, s := range rejected.Samples {
			fmt.Println(s.Gateway, s.Metric, s.Reason)
		}
	}
	fmt.Println(err)
	// Output:
	// gw-0042 load missing_value
	// submit: 1 samples are rejected, the first 1 of metric "load" of gateway "gw-0042" of network "net1": missing_value; by reason: missing_value 1
}

// A hub that refuses a sample says why, and whoever pushed it gets to know.
func ExampleRejectedSample() {
	hub, url, stopHub := startHub()
	defer stopHub()
	hub.Refuse("gw-0042")
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{Name: "edgehub-0", URL: url}}})
	defer stop()

	err := e.Push(ctx, append(report("gw-0017"), report("gw-0042")...))
	if rejected, ok := errors.AsType[*exporter.RejectedError](err); ok {
		for _, s := range rejected.Samples {
			fmt.Println(s.Count, s.Gateway, s.Reason, "by", s.Hub)
		}
	}
	// Output: 1 gw-0042 rejected_400 by edgehub-0
}

// The only hub takes nothing, so something is left when Run ends. With a SpoolDir
// the next Run would send it.
func ExampleUndeliveredError() {
	hub, url, stopHub := startHub()
	defer stopHub()
	hub.Always(exportertest.Reply{Status: http.StatusServiceUnavailable})
	e, err := exporter.New(exporter.Config{
		Hubs:         []exporter.Hub{{URL: url}},
		FlushTimeout: 10 * time.Millisecond,
	})
	if err != nil {
		log.Print(err)
		return
	}
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if lost, ok := errors.AsType[*exporter.UndeliveredError](e.Run(ctx)); ok {
		fmt.Println(lost.Samples, "lost, of", lost.Gateways, "gateway;", lost.Kept, "kept for the next Run")
	}
	// Output: 1 lost, of 1 gateway; 0 kept for the next Run
}
