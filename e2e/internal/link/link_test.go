package link

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLink(t *testing.T) {
	const answer = 100_000
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- string(body)
		_, _ = io.WriteString(w, strings.Repeat("x", answer))
	}))
	defer server.Close()
	k, err := New(server.Listener.Addr().String(), 1)
	require.NoError(t, err)
	defer k.Close()

	ask := func(patience time.Duration) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+k.Address, strings.NewReader("question"))
		require.NoError(t, err)
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return len(body), err
	}
	n, err := ask(time.Minute)
	require.NoError(t, err)
	assert.Equal(t, answer, n)
	assert.Equal(t, "question", <-asked)
	assert.Zero(t, k.Lost())

	for m, patience := range map[Mode]time.Duration{LosesAnswers: time.Minute, CutsAnswers: time.Minute, HoldsAnswers: 300 * time.Millisecond} {
		k.Set(m)
		lost := k.Lost()
		var n int
		err := error(nil)
		for range 100 { // not each answer is cut
			n, err = ask(patience)
			require.Equal(t, "question", <-asked, "the question arrives: it %s", m)
			if err != nil || m != CutsAnswers {
				break
			}
		}
		require.Error(t, err, "%s", m)
		assert.Less(t, n, answer, "%s", m)
		assert.Greater(t, k.Lost(), lost, "%s", m)
	}
	k.Set(Refuses)
	_, err = ask(time.Minute)
	require.Error(t, err)
	assert.Empty(t, asked)
	k.Set(Well)
	n, err = ask(time.Minute)
	require.NoError(t, err)
	assert.Equal(t, answer, n)
}
