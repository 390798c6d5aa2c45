package kubelet

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe asks the container's startup probe until it succeeds, then its readiness probe until the
// context ends, and notes what they say. A container without probes is ready.
func (l *lifetime) probe(ctx context.Context) {
	if !l.await(ctx, l.spec.StartupProbe) {
		return
	}
	select {
	case <-l.started:
	default:
		close(l.started)
	}
	readiness := l.spec.ReadinessProbe
	if readiness == nil {
		l.setReady(true)
		return
	}
	tick := time.NewTicker(l.period(readiness))
	defer tick.Stop()
	ready, others := false, 0 // how often the answer was another one
	for {
		threshold := cmp.Or(int(readiness.FailureThreshold), 3)
		if !ready {
			threshold = cmp.Or(int(readiness.SuccessThreshold), 1)
		}
		if l.ask(ctx, readiness) == ready {
			others = 0
		} else if others++; others >= threshold && ctx.Err() == nil {
			ready, others = !ready, 0
			l.setReady(ready)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// await asks a probe until it succeeds; it returns false if the context ends before.
func (l *lifetime) await(ctx context.Context, p *corev1.Probe) bool {
	if p == nil {
		return true
	}
	tick := time.NewTicker(l.period(p))
	defer tick.Stop()
	for !l.ask(ctx, p) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func (l *lifetime) period(p *corev1.Probe) time.Duration {
	period := time.Duration(cmp.Or(p.PeriodSeconds, 10)) * time.Second
	if every := l.pod.cluster.cfg.ProbeEvery; every > 0 {
		return min(every, period)
	}
	return period
}

// ask asks once.
func (l *lifetime) ask(ctx context.Context, p *corev1.Probe) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(cmp.Or(p.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	host := l.pod.link.Addr().String()
	if p.TCPSocket != nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, l.port(p.TCPSocket.Port)))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	get := p.HTTPGet
	scheme := strings.ToLower(cmp.Or(string(get.Scheme), "http"))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, l.port(get.Port))+get.Path, nil)
	if err != nil {
		return false
	}
	for _, header := range get.HTTPHeaders {
		req.Header.Add(header.Name, header.Value)
	}
	resp, err := prober.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode >= 200 && resp.StatusCode < 400
}

// prober asks over a new connection each time and believes every certificate, as the kubelet does.
var prober = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true,
	TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the kubelet does not verify either
}}

// port returns a port of the container by its number or name.
func (l *lifetime) port(p intstr.IntOrString) string {
	if p.Type == intstr.Int {
		return strconv.Itoa(p.IntValue())
	}
	for _, port := range l.spec.Ports {
		if port.Name == p.StrVal {
			return strconv.Itoa(int(port.ContainerPort))
		}
	}
	return p.StrVal
}
