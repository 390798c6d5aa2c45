package edgehub

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// receiptStore is a Prometheus that has the receipts which the test says.
type receiptStore struct {
	mu      sync.Mutex
	numbers []string
}

func (s *receiptStore) store(numbers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers = append(s.numbers, numbers...)
}

func (s *receiptStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v1/query" {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var values []string
	for i, n := range s.numbers {
		values = append(values, fmt.Sprintf(`[%d,%q]`, 1_000_000+i, n))
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[%s]}]}}`, strings.Join(values, ","))
}

// askedHub is a hub that asks such a server.
func askedHub(t *testing.T) (*server, *receiptStore) {
	t.Helper()
	store := &receiptStore{}
	prometheus := httptest.NewServer(store)
	t.Cleanup(prometheus.Close)
	cfg := DefaultConfig()
	cfg.Servers = map[string]Server{"": {URL: prometheus.URL}}
	return serve(t, cfg), store
}

var receiptNumber = regexp.MustCompile(`(?m)^edgehub_receipt (\S+)`)

func receiptIn(t *testing.T, text string) string {
	t.Helper()
	match := receiptNumber.FindStringSubmatch(text)
	require.NotNil(t, match, "no receipt in %s", text)
	return match[1]
}

// A receipt that comes late once says nothing of the next one. That happens when a hub was halted and hears requests that
// were given up before the server has stored what it got: the connection, which knows less, must not decide then.
func TestReceiptThatIsLateOnce(t *testing.T) {
	hub, server := askedHub(t)
	hub.push(at("first", 1, 0))
	first := hub.scrape()
	hub.push(at("second", 2, 0))
	require.Contains(t, hub.scrape(), "second") // before the server has stored the first; and it never gets this one
	server.store(receiptIn(t, first))
	stored := []string{first}
	for range 5 { // what was refused may come a little at a time
		text := hub.scrape()
		server.store(receiptIn(t, text))
		stored = append(stored, text)
	}
	assert.Contains(t, strings.Join(stored, ""), "first")
	assert.Contains(t, strings.Join(stored, ""), "second")
	assert.Zero(t, hub.Stats().Behind, "all is stored, and known to be")
}

// Receipts that come late all the time are not gone by.
func TestReceiptsThatAreAlwaysLate(t *testing.T) {
	hub, server := askedHub(t)
	hub.push(at("sample", 1, 0))
	late := receiptIn(t, hub.scrape())
	for range 10 {
		text := hub.scrape()
		if !strings.Contains(text, "sample") {
			return
		}
		server.store(late)
		late = receiptIn(t, text)
	}
	assert.Fail(t, "the same samples come again and again")
}
