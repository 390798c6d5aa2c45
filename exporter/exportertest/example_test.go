package exportertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/exportertest"
)

const line = "load{gatewayID=\"gw-0017\"} 0.5 1700000000000\n"

// post pushes a text and returns what came of it.
func post(client *http.Client, url, text string) string {
	resp, err := client.Post(url+"/metrics", "text/plain", strings.NewReader(text))
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(resp.Status + " " + string(body))
}

// A hub behind a server on a loopback port: it fails once, then is well.
func Example() {
	hub := exportertest.NewHub()
	server := httptest.NewServer(hub)
	defer server.Close()
	defer hub.Close()

	hub.Reply(exportertest.Reply{Status: 503, Body: "full"})
	fmt.Println(post(server.Client(), server.URL, line))
	fmt.Println(post(server.Client(), server.URL, line))
	fmt.Println(post(server.Client(), server.URL, "load 1\nload{ 2\n"))

	for _, s := range hub.Samples() {
		fmt.Println(s.Series, s.Value, s.Timestamp, "in push", s.Push)
	}
	// Output:
	// 503 Service Unavailable full
	// 200 OK
	// 400 Bad Request line 2: the labels have no closing brace
	// load{gatewayID="gw-0017"} 0.5 1700000000000 in push 1
}

// Hubs that are reached without a port, and fail as machines do.
func ExampleNetwork() {
	n := exportertest.NewNetwork()
	defer n.Close()
	hub := n.Add("edgehub-0")
	client := &http.Client{Transport: n.Transport()}

	fmt.Println(post(client, "http://edgehub-0", line))
	n.Kill("edgehub-0")
	fmt.Println(post(client, "http://edgehub-0", line))
	n.Start("edgehub-0")
	fmt.Println(post(client, "http://edgehub-0", line))
	fmt.Println(len(hub.Samples()), "samples")
	// Output:
	// 200 OK
	// no answer
	// 200 OK
	// 2 samples
}

// A hub that refuses what one gateway sends.
func ExampleHub_Refuse() {
	n := exportertest.NewNetwork()
	defer n.Close()
	n.Add("edgehub-0").Refuse("gw-0017")
	fmt.Println(post(&http.Client{Transport: n.Transport()}, "http://edgehub-0", "up 1\n"+line))
	// Output: 400 Bad Request line 2: it has what this hub was told to refuse
}

// Wait is a signal, so a test needs no sleep.
func ExampleHub_Wait() {
	n := exportertest.NewNetwork()
	defer n.Close()
	hub := n.Add("edgehub-0")
	go post(&http.Client{Transport: n.Transport()}, "http://edgehub-0", line)

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(hub.Wait(ctx, 1), hub.Samples()[0].Gateway)
	// Output: <nil> gw-0017
}
