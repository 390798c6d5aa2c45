package exposition

// The classes of bytes in names, as bits of a table so that a name is checked
// with one look-up a byte.
const (
	inLabel  byte = 1 << iota // letters, digits, underscore
	inMetric                  // the same and the colon
	isDigit
)

var class = func() (t [256]byte) {
	for c := range 256 {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			t[c] = inLabel | inMetric
		case '0' <= c && c <= '9':
			t[c] = inLabel | inMetric | isDigit
		case c == ':':
			t[c] = inMetric
		}
	}
	return t
}()

// ValidMetricName says whether name matches [a-zA-Z_:][a-zA-Z0-9_:]*.
func ValidMetricName(name string) bool { return validName(name, inMetric) }

// ValidLabelName says whether name matches [a-zA-Z_][a-zA-Z0-9_]*.
func ValidLabelName(name string) bool { return validName(name, inLabel) }

func validName(name string, set byte) bool {
	if name == "" || class[name[0]]&isDigit != 0 {
		return false
	}
	for i := range len(name) {
		if class[name[i]]&set == 0 {
			return false
		}
	}
	return true
}

// nameLen is the length of the metric name at the start of b.
func nameLen(b []byte, set byte) int {
	n := 0
	for n < len(b) && class[b[n]]&set != 0 {
		n++
	}
	if n > 0 && class[b[0]]&isDigit != 0 {
		return 0
	}
	return n
}
