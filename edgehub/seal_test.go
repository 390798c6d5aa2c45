package edgehub

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// What no scraper comes for is packed by itself, behind a push that comes two minutes later, and what waits behind it
// at once. It is scraped as if it were not.
func TestWhatWaitsIsPacked(t *testing.T) {
	const block = 48 // samples, of a hub for so few
	inSilence(t, Config{MaxSamples: 200, NoFirstSamples: true, EndsAfter: -1}, func(s *silence) {
		const pushes = 190
		for i := range pushes { // one a second
			s.at(float64(i))
			s.push(a)
			synctest.Wait()
			sealed, bytes := s.store.Log.Sealed()
			if i < block-1+120 {
				assert.Zero(t, sealed, i)
			} else {
				assert.Equal(t, (i+1)/block*block, sealed, i)
				assert.Less(t, bytes, 5*sealed)
			}
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics?drain=1", nil))
		assert.Equal(t, pushes, strings.Count(w.Body.String(), a+" 1 "))
	})
}
