package collect

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// Code is a status of gRPC.
type Code int

// The codes that are answered.
const (
	OK                Code = 0
	InvalidArgument   Code = 3
	DeadlineExceeded  Code = 4
	ResourceExhausted Code = 8
	Unimplemented     Code = 12
	Internal          Code = 13
	Unavailable       Code = 14
)

// CodeOf is the code that says what a status of HTTP does.
func CodeOf(status int) Code {
	switch status {
	case http.StatusOK:
		return OK
	case http.StatusRequestTimeout:
		return DeadlineExceeded
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return ResourceExhausted
	case http.StatusUnsupportedMediaType:
		return Unimplemented
	case http.StatusServiceUnavailable:
		return Unavailable
	}
	if status >= http.StatusInternalServerError {
		return Internal
	}
	return InvalidArgument
}

// Refusal is the answer to a call that was not taken: the reason in a word, and a text for the sender, which has both in the status'
// message. The word is in the trailer Hubring-Reason, too.
type Refusal struct {
	Code   Code
	Reason string
	Text   string
}

const (
	statusTrailer  = "Grpc-Status"
	messageTrailer = "Grpc-Message"
)

// respond writes an answer, which is an empty message or a refusal.
func respond(w http.ResponseWriter, r Refusal) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Grpc-Accept-Encoding", "identity,gzip")
	h.Set("Trailer", statusTrailer+", "+messageTrailer+", "+exposition.ReasonHeader)
	w.WriteHeader(http.StatusOK)
	if r.Code == OK {
		_, _ = w.Write(make([]byte, prefix)) // of a message without fields; who does not get it is not there any more
	}
	h.Set(statusTrailer, strconv.Itoa(int(r.Code)))
	if r.Code != OK {
		h.Set(messageTrailer, escaped(r.Reason+": "+r.Text))
		h.Set(exposition.ReasonHeader, r.Reason)
	}
}

// escaped is a text as a status' message has it: percent signs and what is not printable ASCII as in a URL.
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '%' {
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
