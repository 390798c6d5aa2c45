// Package mortal is a controller as a process of its own (mortal/controller), which can be killed. It embeds the exporter, keeps
// all samples on disk, and writes into a journal what it submits, what Submit took and which hubs acknowledged it, so that whoever killed
// it can tell what must not be lost.
package mortal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/e2e/internal/tap"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
)

// Config says what a controller does.
type Config struct {
	Hubs     string        // path of a file for members.File
	SpoolDir string        // where it keeps what it took
	Journal  string        // path; what is there stays
	Gateways []string      // whose samples these are
	Every    time.Duration // between two reports of a gateway
	Series   int           // of a gateway
}

// Reports is what it logs when it has begun. From then on SIGTERM ends it in order.
const Reports = "the controller reports"

// Network and Metric are those of all samples. Each series of a gateway has a number as its label n.
const (
	Network = "chaos"
	Metric  = "chaos_value"
)

// Value is that of a sample.
func Value(at int64, n int) float64 { return float64(at%1_000_000*100) + float64(n) }

// Main is the program. It reports until SIGTERM, delivers what is left, and returns the exit status: 0 if
// all of it is delivered.
func Main(config string) int {
	if err := run(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func run(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var cfg Config
	if err := json.Unmarshal(text, &cfg); err != nil {
		return err
	}
	j, err := openJournal(cfg.Journal)
	if err != nil {
		return err
	}
	defer j.close()
	e, err := exporter.Start(exporter.Config{
		Transport: &tap.Tap{Base: http.DefaultTransport, OnPush: j.acknowledged},
		Members:   members.File{Path: cfg.Hubs}, MembersInterval: 200 * time.Millisecond, MembersHold: 400 * time.Millisecond,
		SpoolDir: cfg.SpoolDir, SpoolPolicy: exporter.SpoolAll,
		PushTimeout: 2 * time.Second, FlushTimeout: 2 * time.Minute, MaxBackoff: 2 * time.Second, CatchUp: 20,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Fprintln(os.Stderr, Reports)
	var reporting sync.WaitGroup
	failed := make(chan error, len(cfg.Gateways))
	for i, id := range cfg.Gateways {
		reporting.Go(func() {
			first := cfg.Every * time.Duration(i) / time.Duration(len(cfg.Gateways))
			if err := report(ctx, e, j, id, cfg, first); err != nil {
				failed <- err
				stop()
			}
		})
	}
	reporting.Wait()
	close(failed)
	errs := []error{e.Close(context.Background())}
	if left := e.Status().Queue.SpoolSamples; left > 0 {
		errs = append(errs, fmt.Errorf("%d samples are not delivered", left))
	}
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// machineTime is what the gateways' clocks say, in milliseconds since the epoch: that of the controller may be wrong.
func machineTime() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		panic(err)
	}
	return now.Nano() / 1e6
}

// report submits the samples of a gateway until ctx ends.
func report(ctx context.Context, e *exporter.Exporter, j *journal, id string, cfg Config, first time.Duration) error {
	f := &dto.MetricFamily{Name: proto.String(Metric), Type: dto.MetricType_GAUGE.Enum()}
	for n := range cfg.Series {
		f.Metric = append(f.Metric, &dto.Metric{Label: []*dto.LabelPair{{Name: proto.String("n"), Value: proto.String(strconv.Itoa(n))}}, Gauge: &dto.Gauge{}})
	}
	batch := []magma.MetricAndContext{{Family: f, Context: magma.MetricContext{
		AdditionalContext: &magma.GatewayMetricContext{NetworkID: Network, GatewayID: id},
	}}}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(cfg.Every)
		at := machineTime()
		for n, m := range f.Metric {
			m.TimestampMs, m.Gauge.Value = proto.Int64(at), proto.Float64(Value(at, n))
		}
		if err := j.write(offered, id, at); err != nil {
			return err
		}
		if err := e.Submit(context.Background(), batch); err != nil {
			return fmt.Errorf("submit for %s: %w", id, err)
		}
		if err := j.write(taken, id, at); err != nil {
			return err
		}
	}
}
