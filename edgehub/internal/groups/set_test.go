package groups

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// PUT replaces a group, POST families in it, DELETE takes it away; a group is a set of labels.
func TestPushesToAGroup(t *testing.T) {
	s := newSet(t, Config{})
	assert.Empty(t, s.push("PUT", "job/j/b/2/a/1", "x 1\ny 1\n"))
	assert.Empty(t, s.push("POST", "job/j/a/1/b/2", "y{l=\"m\"} 2\nz 2\n"))
	s.has(`x{a="1",b="2",instance="",job="j"} 1`, `y{a="1",b="2",instance="",job="j",l="m"} 2`, `z{a="1",b="2",instance="",job="j"} 2`)
	assert.Empty(t, s.push("POST", "job/k", "x{job=\"not this\",instance=\"i\"} 3\n"))
	assert.Empty(t, s.push("PUT", "job/j/a/1/b/2", "z 4\n"))
	s.has(`x{instance="i",job="k"} 3`, `z{a="1",b="2",instance="",job="j"} 4`)
	s.delete("job/j")
	s.delete("job/k")
	s.has(`z{a="1",b="2",instance="",job="j"} 4`)
	assert.Empty(t, s.push("PUT", "job/j/a/1/b/2", ""))
	s.has()
	groups, series, _ := s.Size()
	assert.Equal(t, []int{1, 2}, []int{groups, series}, "the times of the group are left")
	s.delete("job/j/a/1/b/2")
	assert.True(t, s.View(s.now).Empty())
	assert.Empty(t, s.index.families)
	assert.Empty(t, s.index.series)
	assert.Zero(t, s.bytes)
}

// What does not fit what others pushed is refused, and changes nothing but the time of the group's last failure.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	refused := func(reason, path, text string) {
		t.Helper()
		s := newSet(t, Config{Reserved: []string{"edgehub_receipt"}})
		const histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"
		assert.Empty(t, s.push("PUT", "job/a", "# TYPE x gauge\nx 1\nx{k=\"v\"} 1\n# TYPE s summary\ns_sum 1\ns_count 1\n"+histogram))
		assert.Empty(t, s.push("PUT", "job/b", "# TYPE own gauge\nown 1\n"))
		before, families, series := s.series(), len(s.index.families), len(s.index.series)
		s.now = s.now.Add(time.Minute)
		assert.Equal(t, reason, s.push("POST", path, text), text)
		if reason != "" {
			s.has(before...)
			assert.Len(t, s.index.families, families)
			assert.Len(t, s.index.series, series)
			assert.Contains(t, s.text(nil), `push_failure_time_seconds{instance="",job="b"} 1700000060`)
		}
	}
	refused("", "job/b", "# TYPE own counter\nown 1\n")
	refused("", "job/b", "# HELP x other\n# TYPE x gauge\nx 1\n")
	refused(Inconsistent, "job/b", "# TYPE x counter\nx 1\n")
	refused(Inconsistent, "job/b", "new 1\nx 1\n")
	refused(Inconsistent, "job/b", "h_sum 1\n")
	refused(Inconsistent, "job/b", "s_count 1\n")
	refused("", "job/b", "s_bucket 1\n")
	refused(Inconsistent, "job/b", "# TYPE q_sum gauge\nq_sum 1\n# TYPE q summary\nq_count 1\n")
	refused(Timestamp, "job/b", "y 1\nz 1 1700000000000\n")
	refused(Duplicate, "job/b", "y{a=\"1\",b=\"2\"} 1\ny{b=\"2\",a=\"1\"} 2\n")
	refused(Duplicate, "job/b", "y{a=\"\"} 1\ny 2\n")
	refused(Reserved, "job/b", "edgehub_receipt 1\n")
	refused(Malformed, "job/b", "y{a=\""+strings.Repeat("v", 9000)+"\"} 1\n")
	refused(Malformed, "job/b", "# HELP y "+strings.Repeat("v", 9000)+"\ny 1\n")
	refused(Malformed, "job/b", "y{"+strings.Join(manyLabels(), ",")+"} 1\n")

	s := newSet(t, Config{})
	assert.Empty(t, s.push("PUT", "job/a", "# TYPE x gauge\nx{k=\"v\"} 1\n"))
	assert.Equal(t, Duplicate, s.push("PUT", "job/a/k/v", "# TYPE x gauge\nx 2\n"), "the same series of another group")
	assert.Equal(t, Malformed, s.push("PUT", "job/a/le/v", "# TYPE y histogram\ny_bucket{le=\"+Inf\"} 1\ny_sum 1\ny_count 1\n"), "the group's label is that of the parts")
	assert.Empty(t, s.push("PUT", "job/a", ""))
	assert.Empty(t, s.push("PUT", "job/a/k/v", "# TYPE x counter\nx 2\n"), "nobody else has it any more")
}

func manyLabels() (labels []string) {
	for i := range 65 {
		labels = append(labels, fmt.Sprintf("l%d=\"v\"", i))
	}
	return labels
}

// Beyond the limits a push is refused, and one that needs no more than the group had is taken.
func TestLimits(t *testing.T) {
	limits := plenty
	limits.Groups, limits.Series = 2, 9
	s := newSet(t, Config{Limits: limits})
	assert.Empty(t, s.push("PUT", "job/a", "x 1\ny 1\n"))
	assert.Equal(t, ManySeries, s.push("PUT", "job/b", "x 1\ny 1\nz 1\nu 1\n"))
	assert.Empty(t, s.push("PUT", "job/b", "x 1\ny 1\nz 1\n"))
	assert.Equal(t, ManySeries, s.push("POST", "job/a", "u 1\n"))
	assert.Empty(t, s.push("PUT", "job/a", "x 3\ny 3\n"))
	assert.Equal(t, ManyGroups, s.push("PUT", "job/c", "x 1\n"))
	assert.Equal(t, Timestamp, s.push("PUT", "job/c", "x 1 5\n"))
	groups, series, _ := s.Size()
	assert.Equal(t, []int{2, 9}, []int{groups, series}, "a refused push makes no group where there is no room")
	s.delete("job/b")
	assert.Empty(t, s.push("PUT", "job/c", "x 1\n"))

	limits = plenty
	limits.Bytes = 1000
	s = newSet(t, Config{Limits: limits})
	assert.Empty(t, s.push("PUT", "job/a", "x{l=\""+strings.Repeat("v", 500)+"\"} 1\n"))
	assert.Equal(t, ManyBytes, s.push("PUT", "job/b", "x{l=\""+strings.Repeat("v", 500)+"\"} 1\n"))
}

// A group goes when its time is over: that of the flag, or its own.
func TestTimeToLive(t *testing.T) {
	s := newSet(t, Config{TTL: time.Minute})
	hour, never := time.Hour, time.Duration(0)
	assert.Empty(t, s.push("PUT", "job/usual", "x 1\n"))
	assert.Empty(t, s.pushFor("PUT", "job/hour", "x 1\n", &hour))
	assert.Empty(t, s.pushFor("PUT", "job/never", "x 1\n", &never))
	assert.Equal(t, Timestamp, s.push("PUT", "job/failed", "x 1 5\n"))
	at := func(after time.Duration, want ...string) {
		t.Helper()
		s.now = start.Add(after)
		s.Sweep(s.now)
		var lines []string
		for _, job := range want {
			lines = append(lines, fmt.Sprintf(`x{instance="",job=%q} 1`, job))
		}
		s.has(lines...)
	}
	at(time.Minute-time.Second, "hour", "never", "usual")
	assert.Equal(t, Timestamp, s.push("PUT", "job/usual", "x 1 5\n"), "which is no push that was taken")
	at(time.Minute, "hour", "never")
	groups, _, _ := s.Size()
	assert.Equal(t, 2, groups)
	assert.Equal(t, uint64(2), s.Counts.Expired.Load())
	assert.Empty(t, s.push("PUT", "job/never", "x 1\n"), "without a word of its own")
	at(2*time.Minute-time.Second, "hour", "never")
	at(2*time.Minute, "hour")
	at(time.Hour)

	limits := plenty
	limits.Groups = 1
	s = newSet(t, Config{Limits: limits, TTL: time.Minute})
	assert.Empty(t, s.push("PUT", "job/a", "# TYPE x gauge\nx 1\n"))
	s.now = start.Add(time.Minute)
	assert.Empty(t, s.push("PUT", "job/b", "# TYPE x counter\nx 1\n"), "what is too old is in nobody's way")
	assert.Equal(t, uint64(1), s.Counts.Expired.Load())
}

func TestDeleteIf(t *testing.T) {
	s := newSet(t, Config{})
	for _, path := range []string{"job/a", "job/a/i/1", "job/b"} {
		assert.Empty(t, s.push("PUT", path, "x 1\n"))
	}
	n, err := s.DeleteIf(func(ls Labels) bool { return ls.Get("job") == "a" })
	assert.NoError(t, err)
	assert.Equal(t, 2, n)
	s.has(`x{instance="",job="b"} 1`)
}
