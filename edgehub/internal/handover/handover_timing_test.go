package handover

import (
	"net"
	"testing"
)

// still is a connection that always has something to read.
type still struct{ net.Conn }

func (still) Read(b []byte) (int, error)  { return len(b), nil }
func (still) Write(b []byte) (int, error) { return len(b), nil }
func (still) LocalAddr() net.Addr         { return &net.TCPAddr{} }
func (still) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

// BenchmarkWatched is what watching costs a read and a write, which are system calls
// otherwise.
//
//	go test -run '^$' -bench Watched ./edgehub/internal/handover
func BenchmarkWatched(b *testing.B) {
	d := NewDesk(Config{MaxSenders: 1})
	c := d.watch(still{})
	remote, _ := d.admit(c)
	w := &watched{still{}, c, remote}
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Read(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}
