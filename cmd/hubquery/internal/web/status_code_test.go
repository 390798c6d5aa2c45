package web

import (
	"errors"
	"net/http"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

func TestAShardThatDoesNotAnswerIsNoFaultOfOurs(t *testing.T) {
	away := &shard.UnavailableError{Server: "http://prometheus-0:9090", Err: errors.New("connection refused")}
	for _, err := range []error{away, promql.ErrStorage{Err: away}} {
		code, ok := status(0, err)
		require.True(t, ok)
		require.Equal(t, http.StatusServiceUnavailable, code)
	}
	_, ok := status(0, promql.ErrStorage{Err: errors.New("too many series")})
	require.False(t, ok)
}
