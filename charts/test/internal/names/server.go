package names

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Zone knows the names. Names have no dot at their end and are in lower case. It must be
// safe for concurrent use.
type Zone interface {
	// Hosts returns the addresses of a name, and whether there is such a name.
	Hosts(name string) ([]netip.Addr, bool)
	// Services returns what is behind _port._proto.NAME, and whether there is such a name.
	Services(name string) ([]Service, bool)
}

// Service is one answer to a question for SRV records.
type Service struct {
	Target string // without a dot at its end
	Port   uint16
}

// timeToLive of every record, in seconds: as CoreDNS has it for a cluster.
const timeToLive = 5

// Server answers questions about a zone, over UDP and TCP.
type Server struct {
	zone    Zone
	servers []*dns.Server
}

// Serve starts a server on port 53 of an address. The caller must Close it.
func Serve(at netip.Addr, zone Zone) (*Server, error) {
	address := netip.AddrPortFrom(at, 53).String()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	streams, err := net.Listen("tcp", address)
	if err != nil {
		_ = packets.Close()
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	s := &Server{zone: zone}
	s.servers = []*dns.Server{{PacketConn: packets, Handler: s}, {Listener: streams, Handler: s}}
	for _, server := range s.servers {
		listening := make(chan struct{})
		server.NotifyStartedFunc = func() { close(listening) }
		go func() { _ = server.ActivateAndServe() }() // ends with Close
		<-listening
	}
	return s, nil
}

// Close stops the server.
func (s *Server) Close() error {
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown())
	}
	return errors.Join(errs...)
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg).SetReply(question)
	answer.Authoritative, answer.RecursionAvailable = true, true
	found := false
	for _, q := range question.Question {
		found = s.append(answer, q) || found
	}
	if !found {
		answer.Rcode = dns.RcodeNameError
	}
	if _, ok := w.LocalAddr().(*net.UDPAddr); ok {
		answer.Truncate(roomFor(question))
	}
	_ = w.WriteMsg(answer) // who asked will ask again
}

// append adds the answers to a question, and tells whether its name is one of the zone's.
func (s *Server) append(answer *dns.Msg, q dns.Question) bool {
	name := strings.ToLower(strings.TrimSuffix(q.Name, "."))
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: timeToLive}
	services, isService := s.zone.Services(name)
	hosts, isHost := s.zone.Hosts(name)
	switch q.Qtype {
	case dns.TypeSRV:
		for _, service := range services {
			answer.Answer = append(answer.Answer, &dns.SRV{Hdr: header, Priority: 0, Weight: 1, Port: service.Port, Target: dns.Fqdn(service.Target)})
		}
	case dns.TypeA:
		for _, addr := range hosts {
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: addr.AsSlice()})
		}
	}
	return isService || isHost
}

// roomFor returns the bytes of UDP that whoever asks can take.
func roomFor(question *dns.Msg) int {
	if extension := question.IsEdns0(); extension != nil {
		return int(extension.UDPSize())
	}
	return dns.MinMsgSize
}
