package sidecar

// Announced are the names of the announcements that every attempt makes, in their order.
func (s *Sidecar) Announced() (names []string) {
	for _, a := range s.announcements() {
		names = append(names, a.Name)
	}
	return names
}
