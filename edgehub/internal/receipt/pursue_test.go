package receipt

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPursue(t *testing.T) {
	broken := errors.New("broken")
	type answer struct {
		there bool
		err   error
	}
	no, yes := answer{}, answer{there: true}
	ms := func(all ...time.Duration) (at []time.Duration) {
		for _, d := range all {
			at = append(at, d*time.Millisecond)
		}
		return at
	}
	cases := []struct {
		name    string
		answers []answer // the last one again and again
		time    time.Duration
		result  Result
		err     error
		asked   []time.Duration
	}{
		{"at once", []answer{yes}, time.Minute, Stored, nil, ms(25)},
		{"soon", []answer{no, no, no, yes}, time.Minute, Stored, nil, ms(25, 75, 175, 375)},
		{"late", []answer{no, no, no, no, no, no, no, yes}, time.Minute, Stored, nil, ms(25, 75, 175, 375, 775, 1575, 2575, 3575)},
		{"never", []answer{no}, 3 * time.Second, NotYet, nil, ms(25, 75, 175, 375, 775, 1575, 2575)},
		{"the server comes back", []answer{{err: broken}, {err: broken}, yes}, time.Minute, Stored, nil, ms(25, 75, 175)},
		{"it breaks", []answer{no, {err: broken}}, 200 * time.Millisecond, Failed, broken, ms(25, 75, 175)},
		{"it is mended, and has it not", []answer{{err: broken}, no}, 100 * time.Millisecond, NotYet, nil, ms(25, 75)},
		{"an agent", []answer{{err: ErrNoQueries}}, time.Minute, Failed, ErrNoQueries, ms(25)},
		{"no time", []answer{yes}, 10 * time.Millisecond, Failed, errNeverAsked, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), c.time)
				defer cancel()
				var asked []time.Duration
				result, err := pursue(ctx, func(context.Context) (bool, error) {
					a := c.answers[min(len(asked), len(c.answers)-1)]
					asked = append(asked, time.Since(begin))
					return a.there, a.err
				})
				assert.Equal(t, c.result, result)
				assert.Equal(t, c.err, err)
				assert.Equal(t, c.asked, asked)
			})
		})
	}
}

// A question that the end of the time cuts off says nothing: the answer before counts.
func TestPursueIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		times := 0
		result, err := pursue(ctx, func(ctx context.Context) (bool, error) {
			if times++; times == 1 {
				return false, nil
			}
			<-ctx.Done()
			return false, ctx.Err()
		})
		assert.Equal(t, NotYet, result)
		assert.NoError(t, err)
	})
}

func TestPursueAsks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int64
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 3 { // it was answered once that the second one is not there
			cancel()
		}
		says(http.StatusOK, stored)(w, r)
	})
	result, err := a.Pursue(ctx, Labels{"a", "2/10"}, 1796021834857315, time.Now())
	require.NoError(t, err)
	assert.Equal(t, Stored, result)

	result, err = a.Pursue(ctx, Labels{"a", "2/10"}, 1796021834857316, time.Now())
	require.NoError(t, err)
	assert.Equal(t, NotYet, result)
}

func TestResultsHaveNames(t *testing.T) {
	assert.Equal(t, "stored missing failed", Stored.String()+" "+NotYet.String()+" "+Failed.String())
}
