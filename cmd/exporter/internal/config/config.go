// Package config reads the file that says what the exporter does: where samples go, what is set on them, and what it may take.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring/placement"
	"github.com/hubring/hubring/internal/decode/otlp"
)

// maxFileBytes bounds the file.
const maxFileBytes = 1 << 20

// Config is what the file says. What it leaves out has the exporter's defaults.
type Config struct {
	// KeyLabel is the label by whose value a series finds its hub.
	KeyLabel string `yaml:"key_label"`

	Hubs    []Hub    `yaml:"hubs"`
	Members *Members `yaml:"members"`
	// PlacementFile is what hubctl place has written.
	PlacementFile string `yaml:"placement_file"`
	// HTTPClientFile says how hubs are asked: TLS, passwords and the like, as Prometheus' http_config.
	HTTPClientFile string `yaml:"http_client_file"`

	client *promconfig.HTTPClientConfig // what it says

	Failover  exporter.FailoverPolicy `yaml:"failover"`
	Receivers exporter.Receivers      `yaml:"receivers"`
	Labels    map[string]string       `yaml:"labels"`
	AsGauges  bool                    `yaml:"as_gauges"`
	Ends      Ends                    `yaml:"ends"`

	Queue   Queue   `yaml:"queue"`
	Spool   Spool   `yaml:"spool"`
	Send    Send    `yaml:"send"`
	Backoff Backoff `yaml:"backoff"`

	OTLP   OTLP   `yaml:"otlp"`
	Limits Limits `yaml:"limits"`
}

// OTLP is how OpenTelemetry's metrics become Prometheus', as the flags --otlp.… of a hub say.
type OTLP struct {
	Strategy      string   `yaml:"translation_strategy"`
	Promote       []string `yaml:"promote_resource_attributes"`
	ScopeMetadata bool     `yaml:"promote_scope_metadata"`
}

// Hub is one of a list.
type Hub struct {
	Name      string  `yaml:"name"`
	URL       string  `yaml:"url"`
	Weight    float64 `yaml:"weight"`
	Placement string  `yaml:"placement"`
}

// Members says where the list of hubs comes from. One of File and DNS is there.
type Members struct {
	File     string         `yaml:"file"`
	DNS      *DNS           `yaml:"dns"`
	Interval model.Duration `yaml:"interval"`
	Hold     model.Duration `yaml:"hold"`
}

// DNS is members.DNS.
type DNS struct {
	Name   string `yaml:"name"`
	Type   string `yaml:"type"`
	Port   int    `yaml:"port"`
	Scheme string `yaml:"scheme"`
}

// Ends is whether and when a hub is told that a gateway has left it.
type Ends struct {
	Off   bool           `yaml:"off"`
	Delay model.Duration `yaml:"delay"`
}

// Queue is what waits in memory.
type Queue struct {
	MaxBytes int                     `yaml:"max_bytes"`
	Overflow exporter.OverflowPolicy `yaml:"overflow"`
}

// Spool is what waits on disk.
type Spool struct {
	Dir      string               `yaml:"dir"`
	Policy   exporter.SpoolPolicy `yaml:"policy"`
	MaxBytes int64                `yaml:"max_bytes"`
}

// Send is how requests are made.
type Send struct {
	Senders    int            `yaml:"senders"`
	BatchBytes int            `yaml:"batch_bytes"`
	BatchWait  model.Duration `yaml:"batch_wait"`
	Timeout    model.Duration `yaml:"timeout"`
	Flush      model.Duration `yaml:"flush_timeout"`
}

// Backoff is how a hub is treated that fails.
type Backoff struct {
	Min     model.Duration `yaml:"min"`
	Max     model.Duration `yaml:"max"`
	CatchUp float64        `yaml:"catch_up"`
}

// Limits bound what is pushed to the exporter.
type Limits struct {
	BodyBytes   int64          `yaml:"body_bytes"`   // of a push, also after decompression
	BodiesBytes int64          `yaml:"bodies_bytes"` // of all that are being read
	Samples     int            `yaml:"samples"`      // of a push
	Pushes      int            `yaml:"pushes"`       // that are taken in at the same time
	BodyTime    model.Duration `yaml:"body_time"`    // in which a push must be there
}

// The defaults of Limits, which are a hub's, and of KeyLabel.
var defaults = Config{
	KeyLabel: "gatewayID",
	OTLP:     OTLP{Strategy: otlp.Strategies[0]},
	Limits:   Limits{BodyBytes: 32 << 20, BodiesBytes: 256 << 20, Samples: 2_000_000, Pushes: 256, BodyTime: model.Duration(time.Minute)},
}

// Load reads a file. Its error names the file and all that is wrong, with lines where that can be said.
func Load(path string) (*Config, error) {
	c, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	return c, nil
}

func load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFileBytes)
	}
	return Parse(text)
}

// Parse reads the text of a file.
func Parse(text []byte) (*Config, error) {
	c := defaults
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one document")
	}
	if c.HTTPClientFile != "" {
		var err error
		if c.client, _, err = promconfig.LoadHTTPConfigFile(c.HTTPClientFile); err != nil {
			return nil, fmt.Errorf("http_client_file %s: %w", c.HTTPClientFile, err)
		}
	}
	return &c, c.check()
}

// check reports what no field alone can show, and what the exporter itself says of what it is told.
func (c *Config) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !model.LegacyValidation.IsValidLabelName(c.KeyLabel) {
		fault("key_label: %q is no name for a label", c.KeyLabel)
	}
	if m := c.Members; m != nil && (m.File == "") == (m.DNS == nil) {
		fault("members: give one of file and dns")
	}
	if len(c.Hubs) == 0 && c.Members == nil {
		fault("hubs: name some, or say with members where they are listed")
	}
	if len(c.Hubs) > 0 && c.Members != nil {
		fault("hubs and members are both there; give one of them")
	}
	l := &c.Limits
	for name, n := range map[string]int64{
		"body_bytes": l.BodyBytes, "bodies_bytes": l.BodiesBytes, "samples": int64(l.Samples), "pushes": int64(l.Pushes), "body_time": int64(l.BodyTime),
	} {
		if n <= 0 {
			fault("limits: %s must be more than 0; leave it out for the default", name)
		}
	}
	if l.BodiesBytes < 2*l.BodyBytes {
		fault("limits: bodies_bytes is %d, give it twice body_bytes at least", l.BodiesBytes)
	}
	if _, err := otlp.New(c.Translation()); err != nil {
		fault("otlp: %w", err)
	}
	if len(errs) == 0 {
		e, err := c.Exporter()
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Translation is how metrics of OTLP are read.
func (c *Config) Translation() otlp.Config {
	return otlp.Config{Strategy: c.OTLP.Strategy, Promote: c.OTLP.Promote, Gateway: c.KeyLabel, ScopeMetadata: c.OTLP.ScopeMetadata}
}

// Transport reaches hubs; without HTTPClientFile as http.DefaultTransport does.
func (c *Config) Transport() (http.RoundTripper, error) {
	if c.client == nil {
		return http.DefaultTransport.(*http.Transport).Clone(), nil
	}
	transport, err := promconfig.NewRoundTripperFromConfig(*c.client, "exporter")
	if err != nil {
		return nil, fmt.Errorf("http_client_file %s: %w", c.HTTPClientFile, err)
	}
	return transport, nil
}

// Exporter is what the exporter is told.
func (c *Config) Exporter() (exporter.Config, error) {
	e := exporter.Config{
		Failover: c.Failover, Receivers: c.Receivers, Labels: c.Labels, AsGauges: c.AsGauges,
		NoEnds: c.Ends.Off, EndsDelay: time.Duration(c.Ends.Delay),
		MaxQueueBytes: c.Queue.MaxBytes, Overflow: c.Queue.Overflow,
		SpoolDir: c.Spool.Dir, SpoolPolicy: c.Spool.Policy, SpoolBytes: c.Spool.MaxBytes,
		Senders: c.Send.Senders, BatchBytes: c.Send.BatchBytes, BatchWait: time.Duration(c.Send.BatchWait),
		PushTimeout: time.Duration(c.Send.Timeout), FlushTimeout: time.Duration(c.Send.Flush),
		MinBackoff: time.Duration(c.Backoff.Min), MaxBackoff: time.Duration(c.Backoff.Max), CatchUp: c.Backoff.CatchUp,
	}
	for _, h := range c.Hubs {
		e.Hubs = append(e.Hubs, exporter.Hub{Name: h.Name, URL: h.URL, Weight: h.Weight, Placement: h.Placement})
	}
	if m := c.Members; m != nil {
		e.MembersInterval, e.MembersHold = time.Duration(m.Interval), time.Duration(m.Hold)
		if m.DNS != nil {
			e.Members = members.DNS{Name: m.DNS.Name, Type: m.DNS.Type, Port: m.DNS.Port, Scheme: m.DNS.Scheme}
		} else {
			e.Members = members.File{Path: m.File}
		}
	}
	if c.PlacementFile != "" {
		e.Inventory = placement.File(c.PlacementFile).Read
	}
	if c.client != nil {
		var err error
		if e.Transport, err = c.Transport(); err != nil {
			return exporter.Config{}, err
		}
	}
	return e, nil
}
