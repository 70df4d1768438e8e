package fleet

// BeforeSteps has f told what the disk does next.
func (a *Agent) BeforeSteps(f func(step string)) { a.disk.step = f }
