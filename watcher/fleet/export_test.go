package fleet

import "time"

// BeforeSteps has f told what the disk does next.
func (a *Agent) BeforeSteps(f func(step string)) { a.disk.step = f }

// PingEvery has the connection pinged more often, before Run.
func (a *Agent) PingEvery(d time.Duration) { a.ping = d }
