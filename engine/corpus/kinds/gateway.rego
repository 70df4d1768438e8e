package gateway

default allow := false

token := trim_prefix(input.headers.authorization, "Bearer ")

claims := payload if {
	[valid, _, payload] := io.jwt.decode_verify(token, {"secret": data.secret, "alg": "HS256", "iss": "https://id.example.com", "aud": "shop"})
	valid
}

routes contains route if {
	some route in data.routes
	input.method in route.methods
	glob.match(route.path, ["/"], input.path)
}

trusted if {
	some network in data.networks
	net.cidr_contains(network, input.address)
}

allow if {
	some route in routes
	some role in claims.roles
	role in route.roles
	not outside(route)
}

outside(route) if {
	route.internal
	not trusted
}

answer := {"allow": allow, "subject": object.get(claims, "sub", "nobody"), "routes": [route.name | some route in routes]}
