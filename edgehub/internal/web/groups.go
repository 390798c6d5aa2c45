package web

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/groups"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

// TTLHeader is the header of a push to a group that says how long the group stays.
const TTLHeader = "Hubring-Group-TTL"

const (
	metricsPath  = "/metrics/"
	groupMethods = "DELETE, OPTIONS, POST, PUT"
	// parsedBytes is about how much memory a byte of a body takes once it is parsed.
	parsedBytes = 8
)

// groupRoutes adds the routes of a Pushgateway: those of pushes, and those that show and delete.
func (s *Server) groupRoutes(e *echo.Echo, door Door) {
	if s.cfg.Groups == nil {
		return
	}
	serve := s.group
	if door&PushDoor == 0 {
		serve = s.otherDoor("this port gives and shows samples; groups are pushed to the port of --web.listen-address")
	}
	for _, path := range []string{"/metrics/job/*", "/metrics/job@base64/*", "//metrics/*"} { // the last one is told why not
		e.Any(path, serve)
	}
	s.groupPages(e, door)
}

// group serves pushes to groups and their deletion.
func (s *Server) group(c echo.Context) error {
	switch c.Request().Method {
	case http.MethodPut, http.MethodPost:
		return s.pushGroup(c)
	case http.MethodDelete:
		return s.changeGroups(c, func() error {
			labels, err := groupOf(c.Request())
			if err != nil {
				return err
			}
			if err := s.cfg.Groups.Delete(labels); err != nil {
				return err
			}
			return c.NoContent(http.StatusAccepted)
		})
	case http.MethodOptions:
		c.Response().Header().Set(echo.HeaderAllow, groupMethods)
		return c.NoContent(http.StatusOK)
	}
	c.Response().Header().Set(echo.HeaderAllow, groupMethods)
	return echo.ErrMethodNotAllowed
}

// pushGroup serves PUT and POST.
func (s *Server) pushGroup(c echo.Context) error {
	start := time.Now()
	err := s.takeGroup(c)
	s.cfg.PushSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		return s.refuseGroup(c, err)
	}
	s.Counts.GroupPushes.Add(1)
	return c.NoContent(http.StatusOK)
}

func (s *Server) takeGroup(c echo.Context) error {
	r := c.Request()
	if !s.entrance.enter() {
		return errStopping
	}
	defer s.entrance.leave()
	if err := s.mayChangeGroups(r); err != nil {
		return err
	}
	push := groups.Push{Replace: r.Method == http.MethodPut}
	var err error
	if push.Labels, err = groupOf(r); err != nil {
		return beforeBody(s.refusalOf(err))
	}
	if push.TTL, err = ttlOf(r.Header); err != nil {
		return beforeBody(s.refusalOf(err))
	}
	b, whole, err := body.Receive(c.Response(), r, s.room, body.Limits{Bytes: s.cfg.MaxBodyBytes, Time: s.cfg.BodyTimeout, Lenient: true})
	defer func() { b.Release() }()
	if err != nil {
		refused := s.unreadable(err)
		refused.unread = refused.unread || !whole
		return refused
	}
	leave, err := s.enterIntake()
	if err != nil {
		return err
	}
	defer leave()
	memory := min(parsedBytes*int64(len(b.Bytes())), s.room.Limit()/2)
	if !s.room.Take(memory) {
		return body.ErrNoRoom
	}
	defer s.room.Release(memory)
	var refused *groups.RefusedError
	if push.Families, refused = s.cfg.Groups.Decode(r.Header.Get(echo.HeaderContentType), b.Bytes()); refused != nil {
		return refused
	}
	return s.cfg.Groups.Push(push, time.Now())
}

// groupOf is the group that a request's path names.
func groupOf(r *http.Request) (groups.Labels, error) {
	raw, is := strings.CutPrefix(r.URL.EscapedPath(), metricsPath)
	if !is {
		return nil, &RefusedError{
			Status: http.StatusBadRequest, Reason: groups.BadLabels,
			Text: fmt.Sprintf("the path does not begin with %sjob/ but with two slashes; is there one at the end of the address?", metricsPath),
		}
	}
	labels, refused := groups.ParsePath(raw)
	if refused != nil {
		return nil, refused
	}
	return labels, nil
}

// beforeBody makes a refusal one of a request whose body was not read.
func beforeBody(r *RefusedError) *RefusedError {
	r.unread = true
	return r
}

// ttlOf is the time to live that a push gives its group, or nil.
func ttlOf(h http.Header) (*time.Duration, error) {
	text := h.Get(TTLHeader)
	if text == "" {
		return nil, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < 0 {
		return nil, fmt.Errorf("%s is %.60q, it must be a duration such as 1h30m, or 0 for no end", TTLHeader, text)
	}
	return &ttl, nil
}

// mayChangeGroups says whether groups may be changed.
func (s *Server) mayChangeGroups(r *http.Request) error {
	if err := s.mayConnect(r); err != nil {
		return err
	}
	return s.openGroups()
}

// openGroups reads the groups from disk where that was not done yet. Their directory is the log's,
// which this hub has for itself once the log is read.
func (s *Server) openGroups() error {
	if err := s.store.Reads(); err != nil {
		return err
	}
	return s.cfg.Groups.Open()
}

// changeGroups serves a request without a body that changes groups. What change returns without having answered is
// why it was refused.
func (s *Server) changeGroups(c echo.Context, change func() error) error {
	if !s.entrance.enter() {
		return s.refuseGroup(c, errStopping)
	}
	defer s.entrance.leave()
	if err := s.mayChangeGroups(c.Request()); err != nil {
		return s.refuseGroup(c, err)
	}
	if err := change(); err != nil {
		return s.refuseGroup(c, err)
	}
	s.Counts.GroupDeletions.Add(1)
	return nil
}

func (s *Server) refuseGroup(c echo.Context, err error) error {
	r := s.refusalOf(err)
	s.Counts.RejectedGroupPushes.add(r.Reason, 1)
	return s.answer(c, r)
}

// statusOfGroup is the status for a refusal by the groups.
func statusOfGroup(k groups.Kind) int {
	switch k {
	case groups.Full:
		return http.StatusTooManyRequests
	case groups.Broken:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// groupsFor is what a response to a scrape has of groups: the first part has it, and the others nothing.
func (s *Server) groupsFor(q request, now time.Time) *groups.View {
	if s.cfg.Groups == nil || q.part > 0 {
		return &groups.View{}
	}
	if err := s.openGroups(); err != nil {
		if s.noGroups.now() {
			s.cfg.Logger.Error("what was pushed to groups cannot be read, and scrapes go without it", "error", err)
		}
		return &groups.View{}
	}
	s.pursuits.Go(func() { s.cfg.Groups.Sweep(now) }) // no scrape waits for the disk
	return s.cfg.Groups.View(now)
}

// beside is how many bytes a response may have besides what it has of groups; 0 for no bound.
func beside(v *groups.View, q request) int64 {
	if q.maxBytes == 0 || v.Empty() {
		return q.maxBytes
	}
	var size written
	body := q.format.Open(&size)
	if q.format.Messages() {
		_ = v.Proto(body) // a count does not fail
	} else {
		_, _ = v.Text(body, nil)
	}
	_ = body.End()
	return max(1, q.maxBytes-int64(size))
}

// written counts what is written to it.
type written int64

func (n *written) Write(b []byte) (int, error) {
	*n += written(len(b))
	return len(b), nil
}

// writeResponse writes the samples of the log, and behind them groups.
func (s *Server) writeResponse(out io.Writer, q request, a *arrange.Arrangement, own *render.Own, v *groups.View) error {
	body := q.format.Open(out)
	if err := body.Arrange(a, own); err != nil {
		return err
	}
	if err := s.writeGroups(body, q, v, a); err != nil {
		return err
	}
	return body.End()
}

func (s *Server) writeGroups(body io.Writer, q request, v *groups.View, a *arrange.Arrangement) error {
	if v.Empty() {
		return nil
	}
	if q.format.Messages() {
		return v.Proto(body)
	}
	left, err := v.Text(body, besides(a, q.format.Escaping))
	s.Counts.GroupMetricsLeft.Add(uint64(left))
	return err
}

// besides says what families an arrangement has, by the names that its text has.
func besides(a *arrange.Arrangement, escaping exposition.Escaping) groups.Beside {
	there, compound := map[string]bool{}, map[string]bool{}
	for i := range a.Rank.Families {
		f := &a.Rank.Families[i]
		if !slices.ContainsFunc(a.Rank.Order[f.From:f.To], func(id series.ID) bool { return a.Count(id) > 0 }) {
			continue
		}
		name := f.Name
		if !exposition.ValidMetricName(name) {
			name = string(escaping.AppendName(nil, name))
		}
		there[name], compound[name] = true, compound[name] || f.Compound && f.Type != ""
		if f.Compound && f.Type == "" { // to a parser its series are families
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				there[name+suffix] = true
			}
		}
	}
	return func(name string) (bool, bool) { return there[name], compound[name] }
}

// lostRuns is how many responses with groups have to be lost running before one goes out without.
const lostRuns = 2

// groups is what a line's next response has of groups. Where a server stores none of those that have
// some, the samples of the log go without.
func (l *line) groups(q request, now time.Time) *groups.View {
	v := l.s.groupsFor(q, now)
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost < lostRuns || v.Empty() {
		return v
	}
	if l.s.notes.first("groups " + l.name) {
		l.s.cfg.Logger.Warn("responses are not stored, and the next one goes without what was pushed to groups; is it something in them that the server refuses?",
			"cursor", l.name, "running", lost)
	}
	return &groups.View{}
}

// asGroupRefusal is the answer to an error of the groups, or nil.
func asGroupRefusal(err error) *RefusedError {
	refused := (*groups.RefusedError)(nil)
	if !errors.As(err, &refused) {
		return nil
	}
	return &RefusedError{Status: statusOfGroup(refused.Kind), Reason: refused.Reason, Text: err.Error()}
}
