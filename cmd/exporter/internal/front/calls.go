package front

import (
	"errors"
	"net/http"
	"time"

	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/families"
	"github.com/hubring/hubring/internal/door/collect"
)

// CallServer is the server of the door for calls by gRPC, which needs HTTP/2: with TLS or without.
func (f *Front) CallServer() *http.Server {
	s := f.bounded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.now.Load().calls.ServeHTTP(w, r) }))
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// newCalls makes the door for calls.
func (f *Front) newCalls(h house) http.Handler {
	g := h.gate
	return collect.New(collect.Config{
		Methods: []string{collect.EdgeHub, collect.MagmaCollect, collect.MagmaPush, collect.MagmaSubmit, collect.MagmaSubmitV0},
		Room:    g.room, Bytes: g.limits.BodyBytes, Time: time.Duration(g.limits.BodyTime),
		Enter: func(*http.Request) (func(), error) {
			leave, err := f.enter(g)
			if err != nil {
				return nil, err
			}
			start := time.Now()
			return func() {
				leave()
				h.Took(time.Since(start).Seconds())
			}, nil
		},
		Take: func(r *http.Request, read func(func(collect.Family) error) error) (int, error) {
			n, err := f.take(r.Context(), func(to decode.Sink, keyLabel string) error {
				labelled := lines.NewLabelled(to)
				return read(func(family collect.Family) error {
					labelled.Set(labelsOf(family.Origin, keyLabel)...)
					return families.Family(family.Message, labelled)
				})
			})
			if err == nil {
				f.taken(h.door, n)
			}
			return n, err
		},
		Refuse: func(samples int, err error) collect.Refusal {
			refusal := g.refusalOf
			if errors.As(err, new(*collect.ReadError)) {
				refusal = g.unreadable
			}
			r := refusal(err)
			h.Refused(r.Reason, samples)
			code := collect.CodeOf(r.Status)
			if r.Reason == "queue_full" {
				code = collect.ResourceExhausted // Magma's exporters do not repeat either; others wait
			}
			return collect.Refusal{Code: code, Reason: r.Reason, Text: r.Text}
		},
	})
}

// The labels that say where a family of Magma comes from, as its own exporters set them.
const (
	labelNetwork = "networkID"
	labelHost    = "cloudHost"
)

// labelsOf are those that a family's origin says.
func labelsOf(o collect.Origin, keyLabel string) []lines.Label {
	switch o.Kind {
	case collect.Gateway:
		return []lines.Label{{Name: keyLabel, Value: o.Gateway}, {Name: labelNetwork, Value: o.Network}}
	case collect.Cloud:
		return []lines.Label{{Name: labelHost, Value: o.CloudHost}}
	case collect.Pushed:
		return []lines.Label{{Name: labelNetwork, Value: o.Network}}
	case collect.Unknown:
	}
	return nil
}
