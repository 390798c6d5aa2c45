package scrapers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// name is what the samples of these tests are called.
const name = "pushed"

// sender pushes samples of gateways to a hub. What is refused it keeps and pushes
// again, as an exporter does.
type sender struct {
	hub      string // base of its URL
	gateways []string
	series   int                         // of each gateway
	label    string                      // more labels of each series, from a comma on
	metric   func(gateway string) string // what the series are called, if not name
	pushed   map[sample]float64          // what the hub took
	waiting  []batch                     // what it has not taken yet
	last     int64                       // the time of the last batch, in milliseconds
	count    float64                     // samples so far; the value of the last one
	beside   *sender                     // whose samples come in the same pushes, and are not in the account
	answers  map[int]int                 // by status
}

// batch is what is pushed at once.
type batch struct {
	body    string
	samples map[sample]float64
}

func newSender(hub string, gateways, series int) *sender {
	s := &sender{hub: hub, series: series, pushed: map[sample]float64{}, answers: map[int]int{}}
	for i := range gateways {
		s.gateways = append(s.gateways, fmt.Sprintf("gw-%02d", i))
	}
	return s
}

// report adds a batch of so many samples of each series, the last of them now, and
// pushes what waits.
func (s *sender) report(ctx context.Context, times int) error {
	b := batch{samples: map[sample]float64{}}
	var body strings.Builder
	s.write(&body, times, b.samples)
	if s.beside != nil {
		s.beside.write(&body, times, s.beside.pushed)
	}
	b.body = body.String()
	s.waiting = append(s.waiting, b)
	return s.flush(ctx)
}

// write writes so many samples of each series, and notes them.
func (s *sender) write(body *strings.Builder, times int, samples map[sample]float64) {
	family := ""
	now := max(time.Now().UnixMilli(), s.last+int64(times))
	for _, gateway := range s.gateways {
		called := name
		if s.metric != nil {
			called = s.metric(gateway)
		}
		if called != family {
			family = called
			fmt.Fprintf(body, "# TYPE %s gauge\n", called)
		}
		for i := range s.series {
			for ago := times - 1; ago >= 0; ago-- {
				s.count++
				id := sample{gateway, strconv.Itoa(i), now - int64(ago)}
				fmt.Fprintf(body, "%s{gatewayID=%q,n=%q%s} %v %d\n", called, id.gateway, id.n, s.label, s.count, id.at)
				samples[id] = s.count
			}
		}
	}
	s.last = now
}

// flush pushes what waits, the oldest first, until something is refused.
func (s *sender) flush(ctx context.Context) error {
	for len(s.waiting) > 0 {
		b := s.waiting[0]
		status, answer, err := post(ctx, s.hub+"/metrics", b.body)
		if err != nil {
			return fmt.Errorf("push: %w", err)
		}
		s.answers[status]++
		switch status {
		case http.StatusOK:
			for id, value := range b.samples {
				s.pushed[id] = value
			}
			s.waiting = s.waiting[1:]
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			return nil
		default:
			return fmt.Errorf("push: the hub answered %d: %s", status, answer)
		}
	}
	return nil
}

// post sends a body and returns the status and the text of the answer.
func post(ctx context.Context, url, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}
