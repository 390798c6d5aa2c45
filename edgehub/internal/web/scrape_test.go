package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A scraper that is known to have gone while the response was written has nothing.
func TestScraperThatIsGoneTakesNothing(t *testing.T) {
	d := newDoors(t)
	d.push(at("x", time.Now()))
	ctx, gone := context.WithCancel(t.Context())
	gone()
	assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() {
		d.handler.ServeHTTP(httptest.NewRecorder(), aScrape().WithContext(ctx))
	})
	pending, _ := d.store.Log.Pending()
	assert.Equal(t, 1, pending)
	assert.EqualValues(t, 1, d.Counts.Aborted.Load())
	assert.Zero(t, d.Counts.Unconfirmed.of(""))
	assert.Equal(t, http.StatusOK, d.do("GET", "/metrics?drain=1", "", "").Code)
	assert.EqualValues(t, 1, d.Counts.Scraped.Load())
}
