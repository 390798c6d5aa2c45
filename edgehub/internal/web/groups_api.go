package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/groups"
)

// groupPages adds the API: what shows at the door of scrapes, what deletes at that of pushes.
func (s *Server) groupPages(e *echo.Echo, door Door) {
	if door&ScrapeDoor != 0 {
		e.GET("/api/v1/metrics", s.groupList)
		e.GET("/api/v1/status", s.groupStatus)
	}
	if door&PushDoor != 0 {
		e.DELETE("/api/v1/groups", s.deleteGroups)
		if s.cfg.GroupsAdmin {
			e.PUT("/api/v1/admin/wipe", s.wipeGroups)
		}
	}
}

// apiAnswer is an answer as those of Prometheus' APIs.
type apiAnswer struct {
	Status string `json:"status"`
	Data   any    `json:"data"`
}

// groupList serves GET /api/v1/metrics: each group with its labels and metrics.
func (s *Server) groupList(c echo.Context) error {
	leave, err := s.enterLook(c)
	if leave == nil {
		return err
	}
	defer leave()
	if err := s.openGroups(); err != nil {
		return s.busy(c, s.refusalOf(err).Reason, err.Error())
	}
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	// Group by group, since all at once could be a second copy of everything.
	if _, err := w.Write([]byte(`{"status":"success","data":[`)); err != nil {
		return err
	}
	out := json.NewEncoder(w)
	for i, g := range s.cfg.Groups.All(time.Now()) {
		if i > 0 {
			if _, err := w.Write([]byte{','}); err != nil {
				return err
			}
		}
		if err := out.Encode(g.Describe()); err != nil {
			return err
		}
	}
	_, err = w.Write([]byte("]}\n"))
	return err
}

// groupStatus serves GET /api/v1/status.
func (s *Server) groupStatus(c echo.Context) error {
	return c.JSON(http.StatusOK, apiAnswer{"success", map[string]any{
		"build_information": map[string]string{"version": s.cfg.Version},
		"flags":             s.cfg.GroupFlags,
		"start_time":        s.started.UTC().Format(time.RFC3339Nano),
	}})
}

// deleteGroups serves DELETE /api/v1/groups?match[]={job="x"}.
func (s *Server) deleteGroups(c echo.Context) error {
	return s.changeGroups(c, func() error {
		texts := c.QueryParams()["match[]"]
		if len(texts) == 0 {
			return &RefusedError{Status: http.StatusBadRequest, Reason: groups.BadLabels, Text: `which groups? add ?match[]={job="x"}, once or more`}
		}
		selectors := make([]groups.Selector, 0, len(texts))
		for _, text := range texts {
			selector, err := groups.ParseSelector(text)
			if err != nil {
				return &RefusedError{Status: http.StatusBadRequest, Reason: groups.BadLabels, Text: err.Error()}
			}
			selectors = append(selectors, selector)
		}
		deleted, err := s.cfg.Groups.DeleteIf(func(labels groups.Labels) bool {
			for _, selector := range selectors {
				if selector.Matches(labels) {
					return true
				}
			}
			return false
		})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, apiAnswer{"success", map[string]int{"deleted": deleted}})
	})
}

// wipeGroups serves PUT /api/v1/admin/wipe.
func (s *Server) wipeGroups(c echo.Context) error {
	return s.changeGroups(c, func() error {
		if _, err := s.cfg.Groups.DeleteIf(func(groups.Labels) bool { return true }); err != nil {
			return err
		}
		return c.NoContent(http.StatusAccepted)
	})
}
