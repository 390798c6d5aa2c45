package groups

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// A push to one of so many groups, of 30 series each, takes the same with all of them.
//
//	go test ./edgehub/internal/groups -run '^$' -bench Push
func BenchmarkPush(b *testing.B) {
	for _, groups := range []int{10, 347, 10_000} {
		b.Run(strconv.Itoa(groups), func(b *testing.B) {
			s := filled(b, groups)
			text, n := families(1), 0
			b.ReportAllocs()
			for b.Loop() {
				if n++; s.push("PUT", fmt.Sprintf("job/j/instance/%d", n%groups), text) != "" {
					b.Fatal("refused")
				}
			}
		})
	}
}

// A scrape gathers and writes all groups.
//
//	go test ./edgehub/internal/groups -run '^$' -bench View
func BenchmarkView(b *testing.B) {
	for _, groups := range []int{10, 347, 10_000} {
		for format, write := range map[string]func(*View) error{
			"text":     func(v *View) error { _, err := v.Text(io.Discard, nil); return err },
			"protobuf": func(v *View) error { return v.Proto(io.Discard) },
		} {
			b.Run(fmt.Sprintf("%d/%s", groups, format), func(b *testing.B) {
				s := filled(b, groups)
				for b.Loop() {
					if err := write(s.View(s.now)); err != nil {
						b.Fatal(err)
					}
				}
				_, series, _ := s.Size()
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(series), "ns/series")
			})
		}
	}
}

func filled(b *testing.B, groups int) *tested {
	b.Helper()
	s := newSet(b, Config{})
	for i := range groups {
		if reason := s.push("PUT", fmt.Sprintf("job/j/instance/%d", i), families(0)); reason != "" {
			b.Fatal(reason)
		}
	}
	return s
}

func families(value int) string {
	var text strings.Builder
	for f := range 10 {
		fmt.Fprintf(&text, "# HELP metric_%d so much\n# TYPE metric_%d gauge\n", f, f)
		for l := range 3 {
			fmt.Fprintf(&text, "metric_%d{l=\"%d\"} %d\n", f, l, value)
		}
	}
	return text.String()
}
