package web

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPushesAreLimited(t *testing.T) {
	s := &Server{pushes: make(chan struct{}, 1)}
	s.pushes <- struct{}{} // a push that is under way
	_, err := s.takeIn([]byte("x 1\n"))
	r := s.refusalOf(err)
	assert.Equal(t, []any{503, "too_many_pushes", "1 pushes are under way, which is the limit"}, []any{r.Status, r.Reason, r.Text})
}

// However many strangers hang, the client whose response was taken last finds a place;
// no client has more than two.
func TestStrangersKeepNoScraperOut(t *testing.T) {
	s := &Server{}
	s.lines.strangers = make(chan struct{}, 3)
	l := &line{s: s, underWay: map[string]int{}, known: "prometheus"}
	in := func(client string, want bool) func() {
		t.Helper()
		leave, ok := l.enter(client)
		assert.Equal(t, want, ok, client)
		return leave
	}
	in("a", true)
	leave := in("a", true)
	in("a", false)
	in("b", true)
	in("c", false)
	in("prometheus", true)
	again := in("prometheus", true)
	in("prometheus", false)
	again()
	in("prometheus", true)
	leave()
	in("c", true)
}

func TestPaceFitsTheTimeout(t *testing.T) {
	small := newPace(5)
	small.cutOff(5)
	assert.Equal(t, 5, small.size, "a bite of what is configured is as small as it gets")
}
