package block

import "encoding/binary"

// A section of runs is a list of numbers of which many follow from the one before: by adding
// step, which is 1 for places that follow each other and 0 for a time that stays. A run is the
// distance of its first number from the one that would have followed, and its length.
//
// The first byte of a run has six bits of the distance, in zigzag; longRun says that the
// run's length follows, which is 1 otherwise, and farRun that the distance's other bits do.
const (
	farRun   = 0x80
	longRun  = 0x40
	nearBits = 6
)

func zigzag(n int64) uint64   { return uint64(n)<<1 ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// runWriter writes a section.
type runWriter struct {
	data   []byte
	step   int64
	next   int64 // the number that would go on with the run
	behind int64 // the number that would go on with the run before
	length uint64
}

func (w *runWriter) reset(step int64) { *w = runWriter{data: w.data[:0], step: step} }

// add adds a number.
func (w *runWriter) add(n int64) {
	if n != w.next || w.length == 0 {
		w.flush()
		w.next = n
	}
	w.length++
	w.next += w.step
}

// flush ends the run. It is to be called once more at the end.
func (w *runWriter) flush() {
	if w.length == 0 {
		return
	}
	distance := zigzag(w.next - int64(w.length)*w.step - w.behind)
	head := byte(distance & (1<<nearBits - 1))
	far := distance >> nearBits
	if far != 0 {
		head |= farRun
	}
	if w.length > 1 {
		head |= longRun
	}
	w.data = append(w.data, head)
	if far != 0 {
		w.data = binary.AppendUvarint(w.data, far)
	}
	if w.length > 1 {
		w.data = binary.AppendUvarint(w.data, w.length-2)
	}
	w.behind, w.length = w.next, 0
}

// run is some numbers: the first, and how many.
type run struct {
	first int64
	count int
}

// runReader reads a section.
type runReader struct {
	data []byte
	step int64
	next int64
}

// read returns the next run, or false where there is none, or none that makes sense.
func (r *runReader) read() (run, bool) {
	if len(r.data) == 0 {
		return run{}, false
	}
	head, at := r.data[0], 1
	distance, length := uint64(head&(1<<nearBits-1)), uint64(1)
	if head&farRun != 0 {
		far, n := binary.Uvarint(r.data[at:])
		if n <= 0 {
			return run{}, false
		}
		distance |= far << nearBits
		at += n
	}
	if head&longRun != 0 {
		more, n := binary.Uvarint(r.data[at:])
		if n <= 0 || more > maxSamples {
			return run{}, false
		}
		length = more + 2
		at += n
	}
	r.data = r.data[at:]
	first := r.next + unzigzag(distance)
	r.next = first + int64(length)*r.step
	return run{first, int(length)}, true
}

// checkRuns says whether a section has so many numbers, in runs that lie between two numbers.
func checkRuns(data []byte, step int64, numbers int, ok func(run) bool) bool {
	r := runReader{data: data, step: step}
	for numbers > 0 {
		next, is := r.read()
		if !is || next.count > numbers || !ok(next) {
			return false
		}
		numbers -= next.count
	}
	return len(r.data) == 0
}
