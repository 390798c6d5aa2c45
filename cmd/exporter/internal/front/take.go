package front

import (
	"context"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/decode"
)

// take submits what read brings to a sink, all of it or nothing, and returns how many samples that are. Read is told the label by whose value
// series find their hub, and may not ask the exporter for anything: a reload may be waiting for it.
func (f *Front) take(ctx context.Context, read func(to decode.Sink, keyLabel string) error) (samples int, err error) {
	err = f.running.use(func(e *exporter.Exporter, cfg *config.Config) error {
		w := lines.NewWriter(&f.types, cfg.Limits.Samples)
		err := read(w, cfg.KeyLabel)
		for reason, n := range w.LeftOut {
			f.counts.leftOut.WithLabelValues(reason).Add(float64(n))
		}
		if err != nil {
			return err
		}
		samples = w.Samples()
		return e.SubmitText(ctx, cfg.KeyLabel, w.Text())
	})
	return samples, err
}

// takeText submits a text in the text format, which needs no decoder, of so many samples.
func (f *Front) takeText(ctx context.Context, text []byte, samples int) error {
	return f.running.use(func(e *exporter.Exporter, cfg *config.Config) error {
		if samples > cfg.Limits.Samples {
			return &lines.TooManyError{Limit: cfg.Limits.Samples}
		}
		return e.SubmitText(ctx, cfg.KeyLabel, text)
	})
}

// taken counts a push.
func (f *Front) taken(door string, samples int) {
	f.counts.pushes.WithLabelValues(door).Inc()
	f.counts.samples.WithLabelValues(door).Add(float64(samples))
}
