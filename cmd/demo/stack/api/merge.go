package api

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

// merged reads all shards as one store. A series that more than one shard
// holds, because its gateway moved, comes out once, with the samples of all of
// them. It is what Thanos' deduplication does in a deployment.
//
// A shard that cannot be read fails the query: an answer that silently lacks a
// shard would look like lost data.
type merged []*shard.Shard

// Querier implements storage.Queryable.
func (m merged) Querier(mint, maxt int64) (storage.Querier, error) {
	queriers := make([]storage.Querier, 0, len(m))
	for _, s := range m {
		q, err := s.Querier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(queriers))
		}
		queriers = append(queriers, q)
	}
	return storage.NewMergeQuerier(queriers, nil, storage.ChainedSeriesMerge), nil
}

// ChunkQuerier implements storage.ChunkQueryable, which remote read uses.
func (m merged) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	queriers := make([]storage.ChunkQuerier, 0, len(m))
	for _, s := range m {
		q, err := s.ChunkQuerier(mint, maxt)
		if err != nil {
			return nil, errors.Join(err, closeAll(queriers))
		}
		queriers = append(queriers, q)
	}
	merge := storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)
	return storage.NewMergeChunkQuerier(queriers, nil, merge), nil
}

func closeAll[C interface{ Close() error }](closers []C) error {
	var err error
	for _, c := range closers {
		err = errors.Join(err, c.Close())
	}
	return err
}

// noExemplars answers queries for exemplars, which the text format of the hubs
// does not carry.
type noExemplars struct{}

func (noExemplars) ExemplarQuerier(context.Context) (storage.ExemplarQuerier, error) {
	return noExemplars{}, nil
}

func (noExemplars) Select(int64, int64, ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	return nil, nil
}
