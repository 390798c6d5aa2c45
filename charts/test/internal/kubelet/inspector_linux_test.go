package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test's binary be the program of containers, too.
func TestMain(m *testing.M) {
	if os.Args[0] == "/bin/inspector" {
		inspector()
		return
	}
	os.Exit(m.Run())
}

// inspection is what a program finds in its container.
type inspection struct {
	PID      int
	UID, GID int
	Groups   []int
	Status   map[string]string // of /proc/self/status
	Args     []string
	Env      map[string]string
	Hostname string
	Root     []string // what is in /
	Write    string   // why / cannot be written to
	Config   string   // what is in /config/text
	Address  string
}

// inspector serves what it finds, and is ready while /config/ready says yes. It notes in
// /data/life when it starts, and when it is asked to stop.
func inspector() {
	note("started")
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	http.HandleFunc("/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if text, _ := os.ReadFile("/config/ready"); string(text) != "yes" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(inspect()) })
	go func() { fmt.Println(http.ListenAndServe(":8080", nil)) }()
	<-stop.Done()
	note("stopped")
}

func note(what string) {
	file, err := os.OpenFile("/data/life", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Fprintln(file, what)
	_ = file.Close()
}

func inspect() inspection {
	i := inspection{PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Args: os.Args, Env: map[string]string{}, Status: map[string]string{}}
	i.Groups, _ = os.Getgroups()
	i.Hostname, _ = os.Hostname()
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		i.Env[name] = value
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		name, value, _ := strings.Cut(line, ":")
		i.Status[name] = strings.TrimSpace(value)
	}
	entries, _ := os.ReadDir("/")
	for _, entry := range entries {
		i.Root = append(i.Root, entry.Name())
	}
	if err := os.WriteFile("/file", nil, 0o644); err != nil {
		i.Write = err.Error()
	}
	config, _ := os.ReadFile("/config/text")
	i.Config = string(config)
	if addrs, err := net.LookupHost(i.Hostname); err == nil && len(addrs) > 0 {
		i.Address = addrs[0]
	}
	return i
}
