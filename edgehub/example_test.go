package edgehub_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hubring/hubring/edgehub"
)

// A program that hosts a hub drains it before it shuts its server down.
func ExampleHub_Drain() {
	hub, err := edgehub.New(edgehub.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := hub.HTTPServer()
	served := make(chan error, 1)
	go func() { served <- server.Serve(hub.Listener(listener)) }()

	// When the program is told to stop:
	ctx, cancel := context.WithTimeout(context.Background(), 75*time.Second)
	defer cancel()
	if err := hub.Drain(ctx); err != nil {
		fmt.Println(err) // says how many samples are lost
	}
	if err := server.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-served)
	hub.Close(ctx)
	// Output: http: Server closed
}
