package members

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server on loopback. A name that it has no reply for does
// not exist.
type nameServer struct {
	udp net.PacketConn
	tcp net.Listener

	mu      sync.Mutex
	replies map[string]dnsReply // by question, such as "SRV edgehub.example."
	overTCP int                 // questions
}

// dnsReply is what a question gets.
type dnsReply struct {
	code    dnsmessage.RCode
	records []dnsmessage.ResourceBody
	silence chan struct{} // if it is there, nothing; each question is put into it
}

func records(bodies ...dnsmessage.ResourceBody) dnsReply { return dnsReply{records: bodies} }

// startNameServer ends with the test.
func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{udp: udp, tcp: tcp, replies: map[string]dnsReply{}}
	var ended sync.WaitGroup
	ended.Go(s.serveUDP)
	ended.Go(s.serveTCP)
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		ended.Wait()
	})
	return s
}

// says sets the reply to a question.
func (s *nameServer) says(question string, r dnsReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[question] = r
}

// resolver is Go's own, asking nobody but the server.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		if strings.HasPrefix(network, "tcp") {
			return d.DialContext(ctx, "tcp", s.tcp.Addr().String())
		}
		return d.DialContext(ctx, "udp", s.udp.LocalAddr().String())
	}}
}

func (s *nameServer) serveUDP() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := s.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.answer(buf[:n], 1232); answer != nil {
			s.udp.WriteTo(answer, from)
		}
	}
}

func (s *nameServer) serveTCP() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.overTCP++
		s.mu.Unlock()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		var size [2]byte
		io.ReadFull(conn, size[:])
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		io.ReadFull(conn, query)
		answer := s.answer(query, 65535)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		conn.Close()
	}
}

// answer returns nil for no answer, and one that is marked as cut off if it
// would be longer than limit.
func (s *nameServer) answer(query []byte, limit int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	r, ok := s.replies[strings.TrimPrefix(q.Type.String(), "Type")+" "+q.Name.String()]
	if !ok {
		r.code = dnsmessage.RCodeNameError
	}
	if r.silence != nil {
		r.silence <- struct{}{}
		return nil
	}
	m.Response, m.RecursionAvailable, m.RCode, m.Additionals = true, true, r.code, nil
	for _, body := range r.records {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 5}, Body: body,
		})
	}
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	if len(packed) > limit {
		m.Truncated, m.Answers = true, nil
		packed, _ = m.Pack()
	}
	return packed
}

func srv(target string, port, weight uint16) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: port, Weight: weight, Priority: weight % 3}
}

func a(addr string) dnsmessage.ResourceBody {
	return &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()}
}

func aaaa(addr string) dnsmessage.ResourceBody {
	return &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(addr).As16()}
}

// hubURLs returns the names with the URL of each.
func hubURLs(hubs []Hub) []string {
	var lines []string
	for _, h := range hubs {
		lines = append(lines, h.Name+" "+h.URL)
	}
	return lines
}

func TestDNSServiceRecords(t *testing.T) {
	server := startNameServer(t)
	const name = "_http._tcp.edgehub.monitoring.svc.cluster.local"
	server.says("SRV "+name+".", records(
		srv("edgehub-2.edgehub.monitoring.svc.cluster.local.", 9091, 33),
		srv("edgehub-0.edgehub.monitoring.svc.cluster.local.", 9091, 1),
		srv("EDGEHUB-1.edgehub.monitoring.svc.cluster.local.", 9092, 0),
		srv("edgehub-0.edgehub.monitoring.svc.cluster.local.", 9091, 50),
		srv("edgehub-0.edgehub.monitoring.svc.cluster.local.", 9092, 50),
	))
	hubs, err := DNS{Name: name, Resolver: server.resolver()}.Hubs(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []string{
		"edgehub-0.edgehub.monitoring.svc.cluster.local:9091 http://edgehub-0.edgehub.monitoring.svc.cluster.local:9091",
		"edgehub-0.edgehub.monitoring.svc.cluster.local:9092 http://edgehub-0.edgehub.monitoring.svc.cluster.local:9092",
		"edgehub-1.edgehub.monitoring.svc.cluster.local:9092 http://edgehub-1.edgehub.monitoring.svc.cluster.local:9092",
		"edgehub-2.edgehub.monitoring.svc.cluster.local:9091 http://edgehub-2.edgehub.monitoring.svc.cluster.local:9091",
	}, hubURLs(hubs))
	for _, h := range hubs {
		assert.Zero(t, h.Weight, "that of the record is not the hub's")
	}
}

// An answer that does not fit into a packet is asked for again over TCP.
func TestDNSManyHubs(t *testing.T) {
	server := startNameServer(t)
	var many dnsReply
	for i := range 300 {
		many.records = append(many.records, srv(fmt.Sprintf("hub-%03d.example.", i), 9091, 1))
	}
	server.says("SRV edgehub.example.", many)
	hubs, err := DNS{Name: "edgehub.example.", Scheme: "https", Resolver: server.resolver()}.Hubs(context.Background())
	require.NoError(t, err)
	require.Len(t, hubs, 300)
	assert.Equal(t, Hub{Name: "hub-299.example:9091", URL: "https://hub-299.example:9091"}, hubs[299])
	server.mu.Lock()
	defer server.mu.Unlock()
	assert.Equal(t, 1, server.overTCP)
}

func TestDNSAddresses(t *testing.T) {
	server := startNameServer(t)
	server.says("A both.example.", records(a("10.0.0.2"), a("10.0.0.10"), a("10.0.0.2")))
	server.says("AAAA both.example.", records(aaaa("2001:db8::1")))
	server.says("A four.example.", records(a("10.0.0.1")))
	server.says("AAAA four.example.", records())
	server.says("A half.example.", records(a("10.0.0.1")))
	server.says("AAAA half.example.", dnsReply{code: dnsmessage.RCodeServerFailure})
	look := func(recordType, name string) ([]string, error) {
		hubs, err := DNS{Name: name, Type: recordType, Port: 9091, Resolver: server.resolver()}.Hubs(context.Background())
		return hubURLs(hubs), err
	}
	found := func(recordType, name string, want ...string) {
		t.Helper()
		hubs, err := look(recordType, name)
		require.NoError(t, err)
		assert.Equal(t, want, hubs)
	}
	four := []string{"10.0.0.10:9091 http://10.0.0.10:9091", "10.0.0.2:9091 http://10.0.0.2:9091"}
	six := "[2001:db8::1]:9091 http://[2001:db8::1]:9091"
	found("A", "both.example.", four...)
	found("AAAA", "both.example.", six)
	found("A+AAAA", "both.example.", append(four, six)...)
	found("A+AAAA", "four.example.", "10.0.0.1:9091 http://10.0.0.1:9091")

	// Half an answer would take hubs off.
	_, err := look("A+AAAA", "half.example.")
	assert.ErrorContains(t, err, "server misbehaving")
	_, err = look("AAAA", "four.example.")
	assert.ErrorContains(t, err, "no such host")
	_, err = look("A+AAAA", "none.example.")
	assert.ErrorContains(t, err, "no such host")
}

func TestDNSErrors(t *testing.T) {
	server := startNameServer(t)
	server.says("SRV broken.example.", dnsReply{code: dnsmessage.RCodeServerFailure})
	server.says("SRV refused.example.", dnsReply{code: dnsmessage.RCodeRefused})
	asked := make(chan struct{}, 10)
	server.says("SRV silent.example.", dnsReply{silence: asked})
	server.says("SRV gone.example.", records(srv(".", 9091, 0)))
	server.says("SRV portless.example.", records(srv("a.example.", 9091, 0), srv("b.example.", 0, 0)))
	look := func(ctx context.Context, name string) ([]Hub, *net.DNSError, error) {
		hubs, err := DNS{Name: name, Resolver: server.resolver()}.Hubs(ctx)
		var dnsErr *net.DNSError
		errors.As(err, &dnsErr)
		return hubs, dnsErr, err
	}
	ctx := context.Background()

	_, dnsErr, err := look(ctx, "none.example.")
	require.NotNil(t, dnsErr, "%v", err)
	assert.True(t, dnsErr.IsNotFound, err)
	assert.ErrorContains(t, err, `look up SRV records of "none.example.": `)

	for _, name := range []string{"broken.example.", "refused.example."} {
		_, dnsErr, err = look(ctx, name)
		require.NotNil(t, dnsErr, "%v", err)
		assert.False(t, dnsErr.IsNotFound, err)
	}

	_, _, err = look(ctx, "portless.example.")
	assert.ErrorContains(t, err, `the record of "b.example" has no port`)

	hubs, _, err := look(ctx, "gone.example.")
	assert.NoError(t, err, "it is a good answer")
	assert.Empty(t, hubs)

	// A lookup ends with its context, by deadline or before. The resolver's own timeout
	// would ask again.
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, dnsErr, err = look(short, "silent.example.")
	require.NotNil(t, dnsErr, "%v", err)
	assert.True(t, dnsErr.IsTimeout, err)
	assert.LessOrEqual(t, len(asked), 1)

	asked = make(chan struct{}, 10)
	server.says("SRV silent.example.", dnsReply{silence: asked})
	cancelled, stop := context.WithCancel(ctx)
	go func() {
		<-asked
		stop()
	}()
	_, _, err = look(cancelled, "silent.example.")
	assert.ErrorContains(t, err, "operation was canceled")
	assert.Empty(t, asked)
}

// fixedResolver has the same answer to all questions.
type fixedResolver struct {
	records []*net.SRV
	addrs   []netip.Addr
}

func (r fixedResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", r.records, nil
}

func (r fixedResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return r.addrs, nil
}

// An IPv4 address has one name, however a resolver returns it; a zone is escaped
// in the URL.
func TestDNSAddressForms(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0")}
	hubs, err := DNS{Name: "edgehub", Type: "A", Port: 80, Resolver: fixedResolver{addrs: addrs}}.Hubs(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []string{"10.0.0.1 http://10.0.0.1", "[fe80::1%eth0] http://[fe80::1%25eth0]"}, hubURLs(hubs))
	_, err = Check(hubs)
	assert.NoError(t, err)
}

func TestDNSTooManyHubs(t *testing.T) {
	var records []*net.SRV
	for port := range uint16(4097) {
		records = append(records, &net.SRV{Target: "hub.", Port: port + 1})
	}
	dns := DNS{Name: "edgehub", Resolver: fixedResolver{records: records}}
	_, err := dns.Hubs(context.Background())
	assert.EqualError(t, err, `SRV records of "edgehub" name 4097 hubs, at most 4096 are supported`)
	dns.Resolver = fixedResolver{records: append(records[:4096], records[:4096]...)}
	hubs, err := dns.Hubs(context.Background())
	require.NoError(t, err)
	assert.Len(t, hubs, 4096)
}

func TestDNSValidate(t *testing.T) {
	fine := func(d DNS) {
		t.Helper()
		assert.NoError(t, d.Validate())
	}
	bad := func(d DNS, messages ...string) {
		t.Helper()
		err := d.Validate()
		require.Error(t, err)
		assert.Len(t, strings.Split(err.Error(), "\n"), len(messages), err)
		for _, m := range messages {
			assert.ErrorContains(t, err, m)
		}
		hubs, askErr := d.Hubs(context.Background())
		assert.Equal(t, err, askErr)
		assert.Nil(t, hubs)
	}
	fine(DNS{Name: "a"})
	fine(DNS{Name: "a", Type: "SRV", Scheme: "https"})
	fine(DNS{Name: "a", Type: "A", Port: 1})
	fine(DNS{Name: "a", Type: "AAAA", Port: 65535})
	fine(DNS{Name: "a", Type: "A+AAAA", Port: 9091, Scheme: "http"})
	bad(DNS{}, "DNS.Name is empty")
	bad(DNS{Name: "10.0.0.1", Type: "A", Port: 1}, "is an address")
	bad(DNS{Name: "a", Port: 9091}, "DNS.Port is 9091: SRV records say")
	bad(DNS{Name: "a", Type: "A"}, "DNS.Port is 0: records of type A have no port")
	bad(DNS{Name: "a", Type: "AAAA", Port: 65536}, "DNS.Port is 65536")
	bad(DNS{Type: "srv", Port: -1, Scheme: "ftp"}, "DNS.Name", `DNS.Type is "srv"`, `DNS.Scheme is "ftp"`)
}
