package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hub is killed again and again while groups are pushed to: each has what the last push brought that was answered, or
// one that was sent after it, whole.
func TestKillWithGroups(t *testing.T) {
	const groups = 3
	rounds := kills
	if testing.Short() {
		rounds = 4
	}
	k := &killed{t: t, dir: t.TempDir()}
	var acked, sent [groups]int // the value that each was pushed
	check := func(p *process) {
		answer, err := http.Get("http://" + p.address + "/metrics")
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		var values [groups][2]int
		for line := range strings.Lines(string(text)) {
			var group, value int
			if _, err := fmt.Sscanf(line, `x{instance="",job="%d"} %d`, &group, &value); err == nil {
				values[group][0] = value
			}
			if _, err := fmt.Sscanf(line, `y{instance="",job="%d"} %d`, &group, &value); err == nil {
				values[group][1] = value
			}
		}
		for group, v := range values {
			assert.GreaterOrEqual(t, v[0], acked[group])
			assert.LessOrEqual(t, v[0], sent[group])
			assert.Equal(t, v[0], v[1], "half of a push")
		}
	}
	for range rounds {
		p := k.start("interval:100ms")
		check(p)
		var all sync.WaitGroup
		for group := range groups {
			all.Go(func() {
				for {
					sent[group]++
					body := fmt.Sprintf("# TYPE x gauge\nx %d\n# TYPE y gauge\ny %d\n", sent[group], sent[group])
					answer, err := http.Post(fmt.Sprintf("http://%s/metrics/job/%d", p.address, group), "text/plain", strings.NewReader(body))
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, answer.Body) // the status says it
					answer.Body.Close()
					if !assert.Equal(t, http.StatusOK, answer.StatusCode) {
						return
					}
					acked[group] = sent[group]
				}
			})
		}
		kill := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
		<-kill.C
		require.NoError(t, p.Process.Kill())
		all.Wait()
	}
	p := k.start("interval:100ms")
	check(p)
	require.NoError(t, p.Process.Signal(os.Interrupt))
	require.NoError(t, p.Wait(), p.log)
	assert.NotContains(t, p.log.String(), "cannot be read")
	for _, n := range acked {
		assert.Greater(t, n, rounds)
	}
}
