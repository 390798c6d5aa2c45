package roster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/internal/bubble"
)

// membersTimeout bounds a lookup.
const membersTimeout = 5 * time.Second

// The source is asked at once, and its first answer holds at once, with the
// defaults filled in. Nothing more happens while the answer stays the same,
// whatever its order.
func TestWatcherTakesTheFirstAnswerAtOnce(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers(
			[]members.Hub{{URL: "http://b:9091/"}, {Name: "a", URL: "http://10.0.0.1", Weight: 2}},
			[]members.Hub{{Name: "a", URL: "http://10.0.0.1/", Weight: 2}, {Name: "b:9091", URL: "http://b:9091", Weight: 1}},
		))
		defer s.stop()
		assert.Equal(t, []string{"a b:9091"}, s.applied())
		assert.Zero(t, s.last().at)
		assert.Equal(t, []members.Hub{{Name: "a", URL: "http://10.0.0.1", Weight: 2}, {Name: "b:9091", URL: "http://b:9091", Weight: 1}}, s.last().hubs)
		start := time.Now()
		assert.Equal(t, Status{
			Members: []string{"a", "b:9091"}, Lookups: 1, Changes: 1, LastSuccess: start, LastChange: start,
		}, s.Status())
		bubble.Pass(10 * time.Minute)
		assert.Len(t, s.applied(), 1)
		assert.Equal(t, 1, strings.Count(s.log.String(), "\n"), s.log.String())
		assert.Greater(t, s.Status().LastSuccess, start)
	})
}

// Lookups are an interval apart, give or take a tenth that is another each time.
func TestWatcherJittersTheInterval(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a"))
		defer s.stop()
		s.lookups(100)
		seen := map[time.Duration]bool{}
		asked := s.source.asked()
		for i, at := range asked[1:] {
			wait := at - asked[i]
			assert.InDelta(t, 10, wait.Seconds(), 1)
			seen[wait] = true
		}
		assert.Greater(t, len(seen), 50)
	})
	w := New(members.File{}.Hubs, Settings{Random: rand.Int64N})
	for range 100 { // the smallest ones
		assert.Equal(t, time.Duration(1), w.jitter(1))
		assert.InDelta(t, 10, w.jitter(10), 1)
	}
}

// A new hub joins when it is named twice in a row, and the second answer is asked
// for soon.
func TestWatcherConfirmsNewHubs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a", "a b", "b a"))
		defer s.stop()
		s.lookups(2)
		assert.Equal(t, []string{"a"}, s.applied())
		assert.Equal(t, []string{"b"}, s.Status().Fresh)
		s.lookups(3)
		assert.Equal(t, []string{"a", "a b"}, s.applied())
		assert.Empty(t, s.Status().Fresh)
		assert.Equal(t, time.Second, s.last().at-s.source.asked()[1])
		s.lookups(4)
		assert.Greater(t, s.source.asked()[3]-s.source.asked()[2], 8*time.Second)
	})
}

// A hub that one answer names moves nothing; nor does one that comes and goes. A
// failure between two answers says nothing about it.
func TestWatcherIgnoresStrays(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a", "a x", "a", "x a", "a", "a x y", "a z", "a"))
		defer s.stop()
		s.lookups(20)
		assert.Equal(t, []string{"a"}, s.applied())
	})
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a", "a b", errors.New("no"), "", "a b"))
		defer s.stop()
		s.lookups(4)
		assert.Equal(t, []string{"a"}, s.applied())
		assert.Greater(t, s.source.asked()[3]-s.source.asked()[2], 8*time.Second, "a source that fails is not hurried")
		s.lookups(5)
		assert.Equal(t, []string{"a", "a b"}, s.applied())
	})
}

// A member that is not named any more is kept for a minute, and shown.
func TestWatcherHoldsMissingHubs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a b c", "a b c", "b"))
		defer s.stop()
		s.lookups(3)
		missing := s.source.asked()[2]
		assert.Equal(t, []string{"a", "c"}, s.Status().Held)
		assert.Equal(t, []string{"a", "b", "c"}, s.Status().Members)
		bubble.Pass(missing + 59*time.Second - time.Since(s.source.start))
		assert.Len(t, s.applied(), 1)
		bubble.Pass(13 * time.Second)
		assert.Equal(t, []string{"a b c", "b"}, s.applied())
		assert.GreaterOrEqual(t, s.last().at-missing, time.Minute)
		assert.Empty(t, s.Status().Held)
		assert.Equal(t, []string{"b"}, s.Status().Members)
	})
}

// One that comes back meanwhile was never away. The next time counts anew.
func TestWatcherForgetsThatAHubWasMissing(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, func(_ context.Context, n int) ([]members.Hub, error) {
			if n%7 == 6 { // missing from six answers of seven, 50 s and more
				return hubsNamed("a", "b"), nil
			}
			if n == 0 {
				return hubsNamed("b", "a"), nil
			}
			return hubsNamed("a"), nil
		})
		defer s.stop()
		bubble.Pass(time.Hour)
		assert.Equal(t, []string{"a b"}, s.applied())
		assert.Greater(t, s.Status().Lookups, uint64(300))
	})
}

// While lookups fail nobody is missing for longer: an answer has to say so.
func TestWatcherDropsNobodyWithoutAnAnswer(t *testing.T) {
	broken := slices.Repeat([]any{errors.New("no")}, 20) // more than three minutes
	virtual(t, func(t *testing.T) {
		s := watch(t, answers(slices.Concat([]any{"a b", "a"}, broken, []any{"a b"})...))
		defer s.stop()
		s.lookups(30)
		assert.Equal(t, []string{"a b"}, s.applied())
	})
	virtual(t, func(t *testing.T) {
		s := watch(t, answers(slices.Concat([]any{"a b", "a"}, broken, []any{"a"})...))
		defer s.stop()
		s.lookups(22)
		assert.Equal(t, []string{"a b"}, s.applied())
		assert.Equal(t, []string{"b"}, s.Status().Held)
		s.lookups(23)
		assert.Equal(t, []string{"a b", "a"}, s.applied())
	})
}

// The whole set may be replaced; there is always somebody.
func TestWatcherReplacesAll(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers("a b", "x y"))
		defer s.stop()
		s.lookups(20)
		assert.Equal(t, []string{"a b", "a b x y", "x y"}, s.applied())
	})
	virtual(t, func(t *testing.T) {
		s := watch(t, func(_ context.Context, n int) ([]members.Hub, error) { return hubsNamed(fmt.Sprintf("hub-%d", n)), nil })
		defer s.stop()
		bubble.Pass(10 * time.Minute)
		assert.Equal(t, []string{"hub-0"}, s.applied(), "one that is missing is better than nobody")
		assert.Equal(t, []string{"hub-0"}, s.Status().Held)
	})
}

// A known member's URL and weight hold at once, also while others are missing.
func TestWatcherTakesURLsAndWeightsAtOnce(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers(
			"a b",
			[]members.Hub{{Name: "a", URL: "https://a:9091"}, {Name: "b", URL: "http://b:9091"}},
			[]members.Hub{{Name: "a", URL: "https://a:9091", Weight: 3}},
		))
		defer s.stop()
		s.lookups(2)
		assert.Equal(t, []members.Hub{{Name: "a", URL: "https://a:9091", Weight: 1}, {Name: "b", URL: "http://b:9091", Weight: 1}}, s.last().hubs)
		s.lookups(3)
		assert.Equal(t, []members.Hub{{Name: "a", URL: "https://a:9091", Weight: 3}, {Name: "b", URL: "http://b:9091", Weight: 1}}, s.last().hubs)
		s.lookups(5)
		assert.Len(t, s.applied(), 3)
		assert.Contains(t, s.log.String(), "altered=a")
	})
}

// What is no good answer changes nothing. It is counted, and logged when it is
// another than before.
func TestWatcherKeepsTheHubsWithoutAGoodAnswer(t *testing.T) {
	long := make([]members.Hub, 4097)
	for i := range long {
		long[i] = members.Hub{Name: fmt.Sprint("hub-", i), URL: "http://hub"}
	}
	virtual(t, func(t *testing.T) {
		port := func(n int) error { return fmt.Errorf("read udp 127.0.0.1:%d->127.0.0.1:53: refused", n) }
		s := watch(t, answers(
			"a b",
			port(40000), port(50001), port(600), // one failure, logged once
			"", "", // no hub
			[]members.Hub{{Name: "a", URL: "http://a"}, {Name: "a", URL: "http://b"}},
			[]members.Hub{{Name: "a", URL: "http://a"}, {Name: "c", URL: "c:9091"}}, // nothing of it is taken
			[]members.Hub{{Name: "a", URL: "http://a", Weight: math.NaN()}},
			long,
			"a b",
		))
		defer s.stop()
		s.lookups(7)
		status := s.Status()
		assert.Equal(t, uint64(6), status.Failures)
		assert.Equal(t, uint64(7), status.Lookups)
		assert.Equal(t, `hub "a" is named twice`, status.LastError)
		assert.Equal(t, s.source.start, status.LastSuccess)
		s.lookups(10)
		assert.Equal(t, "4097 hubs are named, at most 4096 are supported", s.Status().LastError)
		s.lookups(20)
		assert.Equal(t, uint64(9), s.Status().Failures)
		assert.Empty(t, s.Status().LastError)
		assert.Equal(t, []string{"a b"}, s.applied())
		log := s.log.String()
		assert.Equal(t, 6, strings.Count(log, "cannot be looked up"), log)
		assert.Equal(t, 1, strings.Count(log, "can be looked up again"), log)
	})
}

// What apply refuses has not come about, and is tried again with every answer. As soon as
// one is good it holds, as after any other failure.
func TestWatcherTakesBackWhatApplyRefuses(t *testing.T) {
	virtual(t, func(t *testing.T) {
		heavy := []members.Hub{{Name: "a", URL: "http://a:9091"}, {Name: "b", URL: "http://b:9091", Weight: 2}}
		s := watchRefusing(t, answers(heavy, heavy, "a b", heavy, heavy, "a b d", "a b d", heavy, "a b c", "a b c"), func(hubs []members.Hub) error {
			for _, h := range hubs {
				if h.Weight != 1 {
					return fmt.Errorf("%s is too heavy", h.Name)
				}
			}
			return nil
		})
		defer s.stop()
		assert.Empty(t, s.applied())
		assert.Equal(t, Status{Lookups: 1, Failures: 1, LastError: "no ring can be built of them: b is too heavy"}, s.Status())
		s.lookups(3)
		assert.Less(t, s.last().at, 3*time.Second, "the first good answer is not waited for longer than any other")
		start := time.Now()
		s.lookups(5)
		assert.Equal(t, []string{"a b"}, s.applied())
		status := s.Status()
		assert.Equal(t, []string{"a", "b"}, status.Members)
		assert.Equal(t, uint64(4), status.Failures)
		assert.Equal(t, uint64(1), status.Changes)
		assert.False(t, status.LastSuccess.After(start))
		s.lookups(7)
		assert.Equal(t, []string{"a b", "a b d"}, s.applied(), "a hub joins when it is named again, and only then")
		s.lookups(10)
		assert.Equal(t, []string{"a b", "a b d", "a b c d"}, s.applied(), "d is held")
		assert.Empty(t, s.Status().LastError)
		bubble.Pass(2 * time.Minute)
		assert.Equal(t, "a b c", namesOf(s.last().hubs))
		log := s.log.String()
		assert.Equal(t, 3, strings.Count(log, "is too heavy"), log)
		assert.Equal(t, 3, strings.Count(log, "can be looked up again"), log)
		assert.Equal(t, 4, strings.Count(log, "Hubs have changed"), log)
	})
}

// Another placement is asked for again soon, and said in the log.
func TestWatcherConfirmsAPlacement(t *testing.T) {
	virtual(t, func(t *testing.T) {
		const circle = "consistent/partitions=271/replicas=20/load=1.25"
		s := watch(t, answers("a b", placed("consistent", hubsNamed("a", "b")), "a b", placed("consistent/replicas=20", hubsNamed("a", "b"))))
		defer s.stop()
		s.lookups(4)
		assert.Equal(t, []string{"a b"}, s.applied(), "named once each time")
		s.lookups(5)
		assert.Equal(t, []string{"a b", "a b"}, s.applied())
		assert.Equal(t, circle, s.last().hubs[0].Placement)
		asked := s.source.asked()
		assert.Equal(t, confirmWait, asked[4]-asked[3])
		assert.Equal(t, 1, s.log.Count(`msg="Hubs are to be placed otherwise" placement="`+circle+`"`), s.log.String())
		assert.EqualValues(t, 2, s.Status().Changes)
		assert.Zero(t, s.Status().Failures)
	})
}

// An error may be of any length.
func TestWatcherCutsLongErrors(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, answers(errors.New(strings.Repeat("ä", 100_000))))
		defer s.stop()
		assert.Less(t, len(s.Status().LastError), 1100)
		assert.Less(t, len(s.log.String()), 1500)
		assert.Equal(t, strings.Repeat("ä", 500)+"…", s.Status().LastError)
	})
}

// Nor is a log line longer for a fleet of thousands.
func TestSomeOf(t *testing.T) {
	names := strings.Fields("a b c d e f g h i j k l")
	assert.Empty(t, someOf(nil))
	assert.Equal(t, "a, b, c, d, e, f, g, h, i, j", someOf(names[:10]))
	assert.Equal(t, "a, b, c, d, e, f, g, h, i, j and 2 more", someOf(names))
}

// Before the first good answer it asks sooner, and ever more rarely.
func TestWatcherRetriesUntilTheFirstAnswer(t *testing.T) {
	virtual(t, func(t *testing.T) {
		no := errors.New("no")
		s := watch(t, answers(no, no, "", no, no, no, no, "a"))
		defer s.stop()
		s.lookups(8)
		for i, seconds := range []float64{0.5, 1, 2, 4, 8, 10, 10} {
			assert.InDelta(t, seconds, (s.source.asked()[i+1] - s.source.asked()[i]).Seconds(), seconds/10, "wait %d", i)
		}
		assert.Equal(t, []string{"a"}, s.applied())
		assert.Equal(t, s.source.asked()[7], s.last().at)
		assert.Equal(t, uint64(7), s.Status().Failures)
	})
}

// A source that hangs is given up after a while, and at once when run is to end.
func TestWatcherGivesUpOnASourceThatHangs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, func(ctx context.Context, n int) ([]members.Hub, error) {
			if n == 0 {
				return hubsNamed("a"), nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		s.lookups(3)
		assert.GreaterOrEqual(t, s.source.asked()[2]-s.source.asked()[1], membersTimeout+9*time.Second)
		assert.Equal(t, "no answer within 5s: context deadline exceeded", s.Status().LastError)
		before := time.Now()
		s.stop()
		assert.Zero(t, time.Since(before))
		assert.Equal(t, uint64(1), s.Status().Failures, "the last one did not fail, it was not waited for")
		assert.Equal(t, []string{"a"}, s.applied())
	})
}

// An answer that comes when run is to end is not applied.
func TestWatcherAppliesNothingAfterItsContext(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := watch(t, func(ctx context.Context, _ int) ([]members.Hub, error) {
			<-ctx.Done()
			return hubsNamed("a"), nil
		})
		s.stop()
		assert.Empty(t, s.applied())
		assert.Zero(t, s.Status().Lookups)
	})
}

// What a source does with its slice later is its own affair; and status may be
// read at any time.
func TestWatcherSharesNothing(t *testing.T) {
	virtual(t, func(t *testing.T) {
		var own []members.Hub
		s := watch(t, func(_ context.Context, n int) ([]members.Hub, error) {
			clear(own)
			own = hubsNamed("a", "b", "c")[:min(2+n, 3)]
			return own, nil
		})
		status := s.Status()
		clear(status.Members)
		assert.Equal(t, []string{"a", "b"}, s.Status().Members)
		var reads int
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 100 {
				reads += len(s.Status().Members)
				time.Sleep(time.Second)
			}
		}()
		<-ended
		s.stop()
		assert.Greater(t, reads, 200)
		assert.Equal(t, []string{"a b", "a b c"}, s.applied())
		assert.Equal(t, []string{"a", "b", "c"}, s.Status().Members)
	})
}

// Whatever goes wrong, as long as no member is missing from every answer of a
// minute and no stranger is named twice in a row, nothing moves: answers fail, are
// empty or invalid, lose members, half of them at a time, and name strays.
func TestFlappingAnswersMoveNothing(t *testing.T) {
	for seed := range uint64(20) {
		virtual(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			all := hubsNamed("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
			start := time.Now()
			since := map[string]time.Time{} // the first answer that a member is missing from
			lost, strays, failures := 0, 0, 0
			longest := time.Duration(0)
			s := watch(t, func(_ context.Context, n int) ([]members.Hub, error) {
				if n == 0 {
					return all, nil
				}
				switch random.IntN(6) {
				case 0:
					failures++
					return nil, fmt.Errorf("failure %d", random.Int())
				case 1:
					failures++
					return nil, nil
				case 2:
					failures++
					return append(hubsNamed("a", "stray"), members.Hub{URL: "gopher://a"}), nil
				}
				var answer []members.Hub
				for _, i := range random.Perm(len(all)) {
					first, missing := since[all[i].Name]
					gone := time.Since(first)
					if random.IntN(5) < 4 && missing && gone < time.Minute || !missing && random.IntN(5) == 0 {
						if !missing {
							since[all[i].Name] = time.Now()
						} else {
							longest = max(longest, gone)
						}
						lost++
						continue
					}
					delete(since, all[i].Name)
					answer = append(answer, all[i])
				}
				if random.IntN(3) == 0 {
					strays++
					answer = append(answer, hubsNamed([]string{"stray", "other"}[strays%2]+strconv.Itoa(strays/10))...)
				}
				return answer, nil
			})
			bubble.Pass(3 * time.Hour)
			s.stop()
			require.Equal(t, []string{"a b c d e f g h i j"}, s.applied(), "seed %d, after %s", seed, time.Since(start))
			require.Greater(t, lost, 500)
			require.Greater(t, strays, 100)
			require.Greater(t, failures, 200)
			require.Greater(t, longest, 55*time.Second)
			require.Positive(t, s.Status().Failures)
		})
	}
}

// The ways in which files are replaced, as a watcher sees them.
func TestWatcherFollowsAFile(t *testing.T) {
	dir := t.TempDir()
	// A ConfigMap's volume: the file is a link through ..data, which is swapped.
	volume := func(version, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "hubs.yaml"), text)
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	path := filepath.Join(dir, "hubs.yaml")
	volume("..1", "- targets: [a:1]")
	require.NoError(t, os.Symlink(filepath.Join("..data", "hubs.yaml"), path))
	virtual(t, func(t *testing.T) {
		file := members.File{Path: path}
		s := watch(t, func(ctx context.Context, _ int) ([]members.Hub, error) { return file.Hubs(ctx) })
		defer s.stop()
		assert.Equal(t, []string{"a:1"}, s.applied())
		volume("..2", "- targets: [a:1, b:1]")
		bubble.Pass(13 * time.Second)
		assert.Equal(t, "a:1 b:1", namesOf(s.last().hubs))

		// An editor moves the old file away and renames a new one to its name.
		require.NoError(t, os.Rename(path, path+"~"))
		bubble.Pass(20 * time.Second)
		assert.Contains(t, s.Status().LastError, "no such file")
		write(t, path+".new", `[{"targets": ["a:1", "b:1", "c:1"]}]`)
		require.NoError(t, os.Rename(path+".new", path))
		bubble.Pass(13 * time.Second)
		assert.Equal(t, "a:1 b:1 c:1", namesOf(s.last().hubs))

		// Half of it is no answer.
		write(t, path, `[{"targets": ["a:1", "b:`)
		bubble.Pass(10 * time.Minute)
		assert.Len(t, s.applied(), 3)
		assert.Contains(t, s.Status().LastError, "yaml: ")
		write(t, path, `[{"targets": ["a:1", "c:1"]}]`)
		bubble.Pass(90 * time.Second)
		assert.Equal(t, []string{"a:1", "a:1 b:1", "a:1 b:1 c:1", "a:1 c:1"}, s.applied())
	})
}
