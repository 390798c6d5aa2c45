package fleet

import "testing"

// A report is written into the families of the one before: it costs no allocation.
//
//	go test ./cmd/demo/stack/fleet -run '^$' -bench Report
func BenchmarkReport(b *testing.B) {
	source := New(1)[0]
	b.ReportAllocs()
	for at := int64(1); b.Loop(); at++ {
		source.Report(at)
	}
}
