package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hubring/hubring/e2e/internal/process"
)

// BuildHubquery builds the checkout's hubquery into dir and returns its path. It is a
// module of its own.
func BuildHubquery(ctx context.Context, checkout, dir string) (string, error) {
	return Build(ctx, filepath.Join(checkout, "cmd", "hubquery"), filepath.Join(dir, "hubquery"), ".")
}

// Hubquery answers queries over shards.
type Hubquery struct {
	Address string
	Process *process.Process

	file string // that names its shards
}

// StartHubquery starts the program over shards, and waits until it is ready. It ends with
// the stack.
func (s *Stack) StartHubquery(ctx context.Context, program string, shards []*Shard, args ...string) (*Hubquery, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	q := &Hubquery{file: filepath.Join(dataDir(s.cfg), "shards.yml")}
	if err := q.Use(shards); err != nil {
		return nil, err
	}
	all := append([]string{"--web.listen-address=127.0.0.1:0", "--shards.file=" + q.file}, args...)
	p, err := s.Run("hubquery", program, all...)
	if err != nil {
		return nil, err
	}
	q.Process = p
	if q.Address, err = p.WaitListening(ctx); err != nil {
		return nil, err
	}
	return q, p.WaitHTTP(ctx, "http://"+q.Address+"/-/ready")
}

// Use names other shards, which the program will notice.
func (q *Hubquery) Use(shards []*Shard) error {
	type shard struct {
		Name    string   `json:"name"`
		Servers []string `json:"servers"`
	}
	var file struct {
		Shards []shard `json:"shards"`
	}
	for _, sh := range shards {
		file.Shards = append(file.Shards, shard{sh.Name, []string{"http://" + sh.Prometheus}})
	}
	text, err := json.Marshal(file) // which is YAML, too
	if err != nil {
		return err
	}
	if err := os.WriteFile(q.file+".new", text, 0o644); err != nil {
		return fmt.Errorf("name the shards: %w", err)
	}
	return os.Rename(q.file+".new", q.file)
}

// StartRuler starts a Thanos ruler that asks a query API on an address and tells of alerts at a URL.
// It ends with the stack.
func (s *Stack) StartRuler(ctx context.Context, query, alerts, rules string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	path := filepath.Join(dataDir(s.cfg), "rules.yml")
	if err := os.WriteFile(path, []byte(rules), 0o644); err != nil {
		return fmt.Errorf("start the ruler: %w", err)
	}
	_, _, err := s.startThanos(ctx, "ruler", "rule", append([]string{
		"--query=http://" + query, "--alertmanagers.url=" + alerts, "--rule-file=" + path,
		"--data-dir=" + filepath.Join(dataDir(s.cfg), "ruler"), `--label=ruler="e2e"`,
	}, args...)...)
	return err
}
