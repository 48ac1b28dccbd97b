package api

import "oneserver/app/journey"

func (s *Server) getJourney(c *call, _ *struct{}) (*journey.Journey, error) {
	seen := s.Journey(c.Context(), c.webVersion)
	return &seen, nil
}
