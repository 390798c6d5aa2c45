package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

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
	mostNameBytes = 200
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
	defer func() { _ = f.Close() }() // it was only read
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
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) { // of an empty file
		return nil, fmt.Errorf("%s: %s", path, oneLine(err))
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
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names, servers := map[string]bool{}, map[string]string{}
	for i, s := range shards {
		switch {
		case s.Name == "":
			fault("shard number %d has no name", i+1)
			continue
		case len(s.Name) > mostNameBytes || !utf8.ValidString(s.Name) || strings.ContainsFunc(s.Name, unicode.IsControl):
			fault("shard %.50q: a name is %d bytes of text on one line at most", s.Name, mostNameBytes)
			continue
		case names[s.Name]:
			fault("shard %q is there twice", s.Name)
		}
		names[s.Name] = true
		if s.Kind != Prometheus && s.Kind != VictoriaMetrics {
			fault("shard %q: kind %q is neither %q nor %q", s.Name, s.Kind, Prometheus, VictoriaMetrics)
		}
		if n := len(s.Servers); n < 1 || n > 2 {
			fault("shard %q has %d servers; it is one, or a pair", s.Name, n)
		}
		for _, server := range s.Servers {
			where, err := place(server)
			if err != nil {
				fault("shard %q: %w", s.Name, err)
				continue
			}
			// Twice the same server would count its series twice.
			switch other, there := servers[where]; {
			case there && other == s.Name:
				fault("shard %q has the server %s twice", s.Name, server)
			case there:
				fault("server %s is in shard %q and in %q", server, other, s.Name)
			}
			servers[where] = s.Name
		}
	}
	return errors.Join(errs...)
}

// place tells servers apart, however their addresses are written.
func place(server string) (string, error) {
	u, err := url.Parse(server)
	if err == nil && u.User != nil {
		return "", fmt.Errorf("the address of %s has a password in it; those are in the file of --shards.http-config.file", u.Host)
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%.200q is no address of a server, such as http://prometheus-0:9090", server)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port + strings.TrimRight(u.Path, "/"), nil
}

// oneLine makes a sentence of what the YAML library says on several lines.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
