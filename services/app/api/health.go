package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"oneserver/app"
)

// readyLimit is the time limit for checking the dependencies. Probes give up after 2 s.
const readyLimit = 1500 * time.Millisecond

type health struct {
	Status string `json:"status"`
}

// livez reports that the process is running. A restart helps only if livez does not answer.
func (s *Server) livez(c *gin.Context) error {
	c.Header("Cache-Control", "no-store")
	return s.answer(c, http.StatusOK, "application/json", health{"alive"})
}

// readyz reports whether this process can serve requests. It checks the dependencies every time, so its answer is never
// out of date.
func (s *Server) readyz(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyLimit)
	defer cancel()
	err := s.readyNow(ctx)
	s.logReadiness(err)
	if err != nil {
		return err
	}
	c.Header("Cache-Control", "no-store")
	return s.answer(c, http.StatusOK, "application/json", health{"ready"})
}

func (s *Server) readyNow(ctx context.Context) error {
	if s.draining.Load() {
		return &app.Error{Code: app.Unavailable, Message: "Draining: this process is about to stop."}
	}
	return s.Ready(ctx)
}

func (s *Server) logReadiness(err error) {
	now := "ready"
	if err != nil {
		now = err.Error()
	}
	s.readiness.Lock()
	changed := now != s.lastReadiness
	s.lastReadiness = now
	s.readiness.Unlock()
	switch {
	case changed && err != nil:
		s.Log.Warn("not ready", "reason", now)
	case changed:
		s.Log.Info("ready")
	}
}
