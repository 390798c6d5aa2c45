package stack

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
)

// ReplicaLabel is the external label that tells the shards apart. The querier
// must know it as one: a gateway that moved has its series in two shards until
// the lookback ends, and only deduplication over this label counts them once.
const ReplicaLabel = "shard"

// startThanos starts a component on a gRPC and an HTTP address and returns
// them when it is ready. Thanos logs the address that it was given, so it
// cannot choose its own.
func (s *Stack) startThanos(ctx context.Context, name, component string, args ...string) (grpc, http string, err error) {
	err = startOnFree(2, func(addresses []string) (*process.Process, error) {
		grpc, http = addresses[0], addresses[1]
		all := append([]string{component, "--grpc-address=" + grpc, "--http-address=" + http}, args...)
		p, err := s.Run(name, filepath.Join(s.cfg.Programs, realbin.Thanos), all...)
		if err != nil {
			return nil, err
		}
		return p, p.WaitHTTP(ctx, "http://"+http+"/-/ready")
	})
	return grpc, http, err
}

// startSidecar starts the shard's sidecar and returns its gRPC address.
func (s *Stack) startSidecar(ctx context.Context, sh *Shard) (string, error) {
	grpc, _, err := s.startThanos(ctx, "sidecar-"+sh.Name, "sidecar",
		"--prometheus.url=http://"+sh.Prometheus, "--tsdb.path="+sh.tsdbPath)
	return grpc, err
}

// StartQuerier starts one more querier over every sidecar, with more arguments, waits until it knows
// them, and returns its HTTP address. It ends with the stack.
func (s *Stack) StartQuerier(ctx context.Context, name string, more ...string) (string, error) {
	args := append([]string{"--query.replica-label=" + ReplicaLabel, "--endpoint.info-timeout=5s"}, more...)
	for _, sh := range s.Shards {
		args = append(args, "--endpoint="+sh.sidecarGRPC)
	}
	_, http, err := s.startThanos(ctx, name, "query", args...)
	if err != nil {
		return "", err
	}
	client := promapi.NewThanos(http, true)
	return http, process.Until(ctx, func() error {
		known, err := knownShards(ctx, client)
		if err != nil {
			return err
		}
		if known != len(s.Shards) {
			return fmt.Errorf("the querier knows %d of %d shards", known, len(s.Shards))
		}
		return nil
	})
}

// knownShards counts the healthy sidecars that told their shard's label.
func knownShards(ctx context.Context, querier *promapi.Client) (int, error) {
	var stores struct {
		Sidecars []struct {
			LabelSets []map[string]string `json:"labelSets"`
			LastError *string             `json:"lastError"`
		} `json:"sidecar"`
	}
	if err := querier.Get(ctx, "/api/v1/stores", nil, &stores); err != nil {
		return 0, fmt.Errorf("ask the querier for its stores: %w", err)
	}
	known := 0
	for _, sidecar := range stores.Sidecars {
		for _, labels := range sidecar.LabelSets {
			if labels[ReplicaLabel] != "" && sidecar.LastError == nil {
				known++
			}
		}
	}
	return known, nil
}
