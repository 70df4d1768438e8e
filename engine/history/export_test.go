package history

// SetMaxRecords makes an index short.
func (s *Store) SetMaxRecords(n int) { s.maxRecords = n }
