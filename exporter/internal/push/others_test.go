package push

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hubring/hubring/internal/verdict"
)

func TestJudgeOthers(t *testing.T) {
	const plain, upper = "text/plain; charset=utf-8", "text/plain; charset=UTF-8"
	is := func(want verdict.Outcome, probe, compressed bool, status int, contentType, text string, length int64) {
		t.Helper()
		h := http.Header{}
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		res, ok := judgeOther(&verdict.Answer{Status: status, Header: h, Text: text, Length: length}, probe, compressed)
		if want == verdict.TryNext && !ok {
			return
		}
		assert.Equal(t, want, res.Outcome, "%d %s %s", status, contentType, text)
		assert.True(t, res.Known)
	}
	is(verdict.Delivered, false, false, 200, "", "", 0)
	is(verdict.Delivered, false, true, 200, "", "", 0)
	is(verdict.TryNext, false, false, 202, "", "", 0) // a Pushgateway that throws samples with timestamps away
	is(verdict.TryNext, false, false, 204, "", "", 0)
	is(verdict.TryNext, false, false, 201, "", "", 0)
	is(verdict.TryNext, false, false, 200, "text/html", "", 0)
	is(verdict.TryNext, false, false, 200, "", "", -1)
	is(verdict.TryNext, false, false, 200, "", "hello", 5)

	is(verdict.Refused, false, false, 400, upper, "error parsing metrics: text format parsing error in line 1: no", 60)
	is(verdict.TryNext, false, false, 400, plain, "text format parsing error in line 1: no", 40)
	is(verdict.TryNext, false, false, 400, plain, "pushed metrics are invalid or inconsistent with existing metrics: pushed metrics must not have timestamps", 106)
	is(verdict.ResendPlain, false, true, 400, upper, "error parsing metrics: text format parsing error in line 1: invalid metric name", 79)
	is(verdict.TryNext, false, false, 400, "", "Client sent an HTTP request to an HTTPS server.", 48)
	is(verdict.TryNext, false, false, 400, plain, "400 Bad Request", 15)
	is(verdict.TryNext, false, false, 400, "text/html", "error parsing metrics: x", 24)
	is(verdict.TryNext, false, false, 413, plain, "error parsing metrics: x", 24)
	is(verdict.TryNext, false, false, 404, "application/json; charset=UTF-8", `{"message":"Not Found"}`, 24)

	is(verdict.Delivered, true, false, 404, "application/json; charset=UTF-8", `{"message":"Not Found"}`, 24)
	is(verdict.TryNext, true, false, 405, plain, "Method Not Allowed", 19)
	is(verdict.TryNext, true, false, 200, plain, "OK", 2)
	is(verdict.TryNext, true, false, 200, "", "", 0)
	is(verdict.TryNext, true, false, 404, plain, "404 page not found", 19)
	is(verdict.TryNext, true, false, 401, plain, "Unauthorized", 12)
}

// With others let in, strangers are none of those either.
func TestStrangersAreNoOtherReceivers(t *testing.T) {
	is := func(status int, text string, headers ...string) {
		t.Helper()
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		for _, probe := range []bool{false, true} {
			_, ok := judgeOther(&verdict.Answer{Status: status, Header: h, Text: text, Length: int64(len(text))}, probe, false)
			assert.False(t, ok, "%d %s", status, text)
		}
	}
	is(200, "<!DOCTYPE html>\n<title>Log in</title>", "Content-Type", "text/html", "Server", "nginx")
	is(200, "# TYPE go_goroutines gauge\ngo_goroutines 7\n", "Content-Type", "text/plain; version=0.0.4")
	is(204, "")
	is(302, "", "Location", "https://login.example.com/")
	is(400, "Client sent an HTTP request to an HTTPS server.\n")
	is(413, "<h1>413 Request Entity Too Large</h1>")
	is(422, "")
	is(429, "", "Hubring-Reason", "gateway_series")
	is(401, "")
}
