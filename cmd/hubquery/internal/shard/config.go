package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Kinds of servers.
const (
	Prometheus      = "prometheus"
	VictoriaMetrics = "victoriametrics"
)

const (
	mostShards    = 10_000
	mostFileBytes = 4 << 20
)

// Config says what a shard is: its name, and the servers that have its samples, one or a pair.
type Config struct {
	Name    string   `yaml:"name"`
	Servers []string `yaml:"servers"`
	Kind    string   `yaml:"kind"`
}

// ParseFlag reads NAME=URL[,URL].
func ParseFlag(value string) (Config, error) {
	name, urls, ok := strings.Cut(value, "=")
	if !ok {
		return Config{}, fmt.Errorf("%q is not NAME=URL[,URL]", value)
	}
	return Config{Name: name, Servers: strings.Split(urls, ","), Kind: Prometheus}, nil
}

// ReadFile reads shards from a YAML file.
func ReadFile(path string) ([]Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, mostFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > mostFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, mostFileBytes)
	}
	var file struct {
		Shards []Config `yaml:"shards"`
	}
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i := range file.Shards {
		if file.Shards[i].Kind == "" {
			file.Shards[i].Kind = Prometheus
		}
	}
	if err := Check(file.Shards); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file.Shards, nil
}

// Check returns every fault of a set of shards.
func Check(shards []Config) error {
	if len(shards) == 0 {
		return errors.New("there is no shard")
	}
	if len(shards) > mostShards {
		return fmt.Errorf("%d shards are more than %d", len(shards), mostShards)
	}
	var errs []error
	names, servers := map[string]bool{}, map[string]string{}
	for _, s := range shards {
		if s.Name == "" {
			errs = append(errs, errors.New("a shard has no name"))
		}
		if names[s.Name] {
			errs = append(errs, fmt.Errorf("shard %q is there twice", s.Name))
		}
		names[s.Name] = true
		if s.Kind != Prometheus && s.Kind != VictoriaMetrics {
			errs = append(errs, fmt.Errorf("shard %q: kind %q is neither %q nor %q", s.Name, s.Kind, Prometheus, VictoriaMetrics))
		}
		if n := len(s.Servers); n < 1 || n > 2 {
			errs = append(errs, fmt.Errorf("shard %q: %d servers; one, or a pair", s.Name, n))
		}
		for _, server := range s.Servers {
			u, err := url.Parse(server)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
				errs = append(errs, fmt.Errorf("shard %q: %q is no URL of a server, such as http://prometheus-0:9090", s.Name, server))
				continue
			}
			// Twice the same server would count its series twice.
			if other, there := servers[u.Host+u.Path]; there {
				errs = append(errs, fmt.Errorf("server %s is in shard %q and in %q", server, other, s.Name))
			}
			servers[u.Host+u.Path] = s.Name
		}
	}
	return errors.Join(errs...)
}
