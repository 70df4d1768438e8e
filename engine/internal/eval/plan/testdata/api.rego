package gateway

default allow := false

claims := payload if {
	[valid, _, payload] := io.jwt.decode_verify(bearer, {"secret": data.secret, "alg": "HS256", "time": 1700000000000000000})
	valid
}

bearer := substring(input.headers.authorization, 7, -1) if startswith(input.headers.authorization, "Bearer ")

matching contains route if {
	some route in data.routes
	input.method in route.methods
	glob.match(route.path, ["/"], input.path)
}

trusted if {
	some network in data.networks
	net.cidr_contains(network, input.source)
}

allow if {
	some route in matching
	route.scope in claims.scopes
	trusted
}

allow if {
	some route in matching
	route.public
}

reason := "no route" if {
	count(matching) == 0
} else := "no token" if {
	not claims
} else := "network" if {
	not trusted
} else := "allowed" if {
	allow
} else := "scope"
