package edgehub

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A push over loopback beside a server that reads the body and does nothing.
// The client writes ready-made bytes and reads an answer of known length, so
// that most of cpu-µs/push, which is of the whole process, is the server's.
//
//	go test ./edgehub -run '^$' -bench BenchmarkPush -benchtime 3s
func BenchmarkPush(b *testing.B) {
	body := fleet(30, 100, base)
	b.Run("server=edgehub", func(b *testing.B) {
		h := newHub(b, Config{})
		benchmarkPush(b, h.HTTPServer(), h.Listener, body, func() { passAll(h) })
	})
	for _, sync := range []string{"interval:100ms", "os", "always"} {
		b.Run("server=storage/sync="+sync, func(b *testing.B) {
			h := storing(b, b.TempDir(), Config{StorageSync: sync, NoFirstSamples: true})
			benchmarkPush(b, h.HTTPServer(), h.Listener, body, func() { passAll(h) })
		})
	}
	b.Run("server=comment", func(b *testing.B) { // the way in without a sample to take
		h := newHub(b, Config{})
		benchmarkPush(b, h.HTTPServer(), h.Listener, append([]byte("# a "), bytes.Repeat([]byte("x"), len(body))...), func() {})
	})
	b.Run("server=discard", func(b *testing.B) {
		buffer := make([]byte, 1<<20)
		benchmarkPush(b, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for {
				if _, err := r.Body.Read(buffer); err == io.EOF {
					return
				} else if err != nil {
					b.Error(err)
					return
				}
			}
		})}, func(l net.Listener) net.Listener { return l }, body, func() {})
	})
}

// What a log on disk adds to a push: a hub in memory and one on disk take twenty pushes each by turns, since what else a
// machine does changes more from one second to the next than what is to be told apart. Of their times the medians are compared.
//
//	go test ./edgehub -run '^$' -bench BenchmarkPushBesideMemory -benchtime 500x
func BenchmarkPushBesideMemory(b *testing.B) {
	const turn = 20
	body := fleet(30, 100, base)
	for _, sync := range []string{"interval:100ms", "os"} {
		b.Run("sync="+sync, func(b *testing.B) {
			memory, disk := newHub(b, Config{}), storing(b, b.TempDir(), Config{StorageSync: sync, NoFirstSamples: true})
			took := make([][]time.Duration, 2)
			pushes := make([]func(), 2)
			for i, h := range []*Hub{memory, disk} {
				pushes[i] = pusher(b, h.HTTPServer(), h.Listener, body, func() { passAll(h) })
			}
			for b.Loop() {
				for i, push := range pushes {
					began := time.Now()
					for range turn {
						push()
					}
					took[i] = append(took[i], time.Since(began)/turn)
				}
			}
			for _, t := range took {
				slices.Sort(t)
			}
			alone, kept := took[0][b.N/2], took[1][b.N/2]
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(alone.Nanoseconds()), "ns/push-in-memory")
			b.ReportMetric(float64(kept.Nanoseconds()), "ns/push-on-disk")
			b.ReportMetric(float64(kept)/float64(alone), "x-of-memory")
		})
	}
}

func benchmarkPush(b *testing.B, server *http.Server, watched func(net.Listener) net.Listener, body []byte, after func()) {
	push := pusher(b, server, watched, body, after)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	start := processorTime(b)
	for b.Loop() {
		push()
	}
	b.ReportMetric(float64((processorTime(b)-start).Microseconds())/float64(b.N), "cpu-µs/push")
}

// pusher starts a server and returns what pushes once to it, which has been done a hundred times.
func pusher(b *testing.B, server *http.Server, watched func(net.Listener) net.Listener, body []byte, after func()) (push func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(watched(listener))
	b.Cleanup(func() { server.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	var request bytes.Buffer
	r, _ := http.NewRequest(http.MethodPost, "http://hub/metrics", bytes.NewReader(body))
	r.Header.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if err := r.Write(&request); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 4096)
	push = func() {
		if _, err := conn.Write(request.Bytes()); err != nil {
			b.Fatal(err)
		}
		n, err := conn.Read(answer)
		if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 ")) {
			b.Fatalf("%v, %q", err, answer[:n])
		}
		after()
	}
	for range 100 {
		push()
	}
	return push
}

// processorTime is what this process has used so far, in user and kernel.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
