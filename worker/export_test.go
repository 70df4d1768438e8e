package worker

// Suspects is the number of inputs that were under way when a process ended, and are not cleared.
func (p *Pool) Suspects() int { return p.suspects.Len() }
