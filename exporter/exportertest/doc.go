// Package exportertest is a fake edge hub to test an embedded exporter with, or any
// other client that pushes Prometheus' text format. A Hub is told what to do with the
// next pushes, and remembers what it took in:
//
//	hub := exportertest.NewHub()
//	server := httptest.NewServer(hub)
//	defer server.Close()
//	defer hub.Close()
//	hub.Reply(exportertest.Reply{Status: 503}, exportertest.Reply{Lost: true}) // then 200
//	// ... run an exporter with the hub at server.URL, and submit a sample ...
//	if err := hub.Wait(ctx, 1); err != nil {
//		t.Fatal(err)
//	}
//	t.Log(hub.Samples(), hub.Pushes())
//
// A Network has several hubs on connections in memory. They can be killed, frozen and
// taken away, and there is a real http.Transport to reach them by. It works in a bubble of
// testing/synctest, where an hour of failover takes milliseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		n := exportertest.NewNetwork()
//		defer n.Close()
//		first, second := n.Add("edgehub-0"), n.Add("edgehub-1")
//		e, err := exporter.New(exporter.Config{
//			Hubs:      []exporter.Hub{{URL: "http://edgehub-0"}, {URL: "http://edgehub-1"}},
//			Transport: n.Transport(),
//		})
//		// ... run it, submit ...
//		n.Kill("edgehub-0")
//		time.Sleep(time.Minute)
//		// ... what was in first.Samples() goes on in second.Samples() ...
//	})
//
// # What a push meets
//
//	POST /metrics ─► script: Reply, else Always ─► read ─► check ─► wait ─► take in ─► OnPush ─► answer
//	                                                │        │
//	                                       413, 415, 400   400 with the line
//
// The checks are made where the script would have the push taken in. They are those of
// edgehub, and a few more of prometheus-edge-hub: a text's last line has to end, and a
// family has one TYPE line, before its samples, and one HELP line. All of a push is taken
// in or nothing.
//
// # Map of files
//
//	hub.go      Hub, its options and requests
//	reply.go    what a hub can be told
//	push.go     one push, from its body to its answer
//	ended.go    gateways that left, as exporters tell a hub
//	parse.go    a text checked and read
//	record.go   what came, and waiting for it
//	network.go  hubs by name: Kill, Freeze, Remove, Transport
//	conn.go     a connection in memory
package exportertest
