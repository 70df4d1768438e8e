package sidecar

// Announced are the names of the announcements that the newest attempt made, in their order.
func (s *Sidecar) Announced() (names []string) {
	for _, o := range s.engine.Status().Last.Outcomes {
		names = append(names, o.Name)
	}
	return names
}
