package gate

default allow := false

allow if {
	input.role == "admin"
	not late
}

allow if input.amount < limit

limit := 100

late if time.clock(time.now_ns())[0] >= 25

ticket := {"id": uuid.rfc4122("ticket"), "lane": rand.intn("lane", 1000), "allow": allow, "at": time.now_ns()}

tags contains tag if some tag in {"new", "large", sprintf("%v", [input.role])}

level := to_number(input.level)
