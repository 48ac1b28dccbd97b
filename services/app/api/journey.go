package api

func (s *Server) getJourney(c *call) (any, error) {
	return s.Journey(c.Context(), c.webVersion), nil
}
